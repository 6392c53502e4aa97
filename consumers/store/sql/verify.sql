-- What `gateway verify` and its repairs ask.

-- name: get_run_points
-- Chunks of some series of one run, those of a series in log order; columns in the binary form of an array.
SELECT series_id, points, min_step, max_step, min_time, array_send(steps) AS steps, array_send(times) AS times,
       array_send(time_deltas) AS time_deltas, array_send(point_values) AS point_values
FROM chunks WHERE series_id = ANY ($1) AND month = $2 ORDER BY series_id, first_index;

-- name: deleted_run_ids
-- Runs that were deleted and of which a tracker had something; of these when $2 is given.
SELECT run_id FROM runs JOIN deliveries USING (run_id)
WHERE runs.deleted AND deliveries.tracker = $1 AND deliveries.state <> '{}'
  AND ($2::text[] IS NULL OR run_id = ANY ($2)) ORDER BY run_id;

-- name: set_aside
-- Take a run out for a repair: no call of a delivery begins for it from here on. Only when none is under way, and none
-- reads the log again for it; whoever holds the lease ($4) need not ask.
UPDATE deliveries SET status = 'parked', error = $3, attempt = 0, intent_to = 0, behind = false, updated = now()
WHERE tracker = $1 AND run_id = $2 AND ($4 OR (attempt = 0 AND NOT behind) OR status = 'parked')
RETURNING state;

-- name: start_over
-- Let a run that was set aside be read again from its first record.
UPDATE deliveries SET next_offset = 0, ledgers = '{}', state = $3, status = 'delivering', error = '', skipped = 0,
    behind = true, attempt = 0, intent_to = 0, doubt_to = 0, updated = now()
WHERE tracker = $1 AND run_id = $2 AND status = 'parked';

-- name: run_places
-- Where runs begin and end in the log, and up to where a tracker has them.
SELECT runs.run_id, runs.partition, first_offset, runs.next_offset, coalesce(kept.next_offset, 0) AS delivered
FROM runs LEFT JOIN deliveries AS kept ON kept.run_id = runs.run_id AND kept.tracker = $1
WHERE runs.run_id = ANY ($2);
