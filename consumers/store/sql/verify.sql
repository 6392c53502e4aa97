-- Queries of `gateway verify` and its repairs.

-- name: get_run_points
-- Chunks of some series of one run, in log order within a series; columns in the binary format of an array.
SELECT series_id, points, min_step, max_step, min_time, array_send(steps) AS steps, array_send(times) AS times,
       array_send(time_deltas) AS time_deltas, array_send(point_values) AS point_values
FROM chunks WHERE series_id = ANY ($1) AND month = $2 ORDER BY series_id, first_index;

-- name: deleted_run_ids
-- Deleted runs that a tracker had in part or in full; only of these if $2 is given.
SELECT run_id FROM runs JOIN deliveries USING (run_id)
WHERE runs.deleted AND deliveries.tracker = $1 AND deliveries.state <> '{}'
  AND ($2::text[] IS NULL OR run_id = ANY ($2)) ORDER BY run_id;

-- name: set_aside
-- Park a run for a repair: from now on no call of a delivery begins for it. Only if none is in progress and no reread
-- is under way; the holder of the lease ($4) need not check that.
UPDATE deliveries SET status = 'parked', error = $3, attempt = 0, intent_to = 0, behind = false, updated = now()
WHERE tracker = $1 AND run_id = $2 AND ($4 OR (attempt = 0 AND NOT behind) OR status = 'parked')
RETURNING state::json AS exact_state;

-- name: start_over
-- Order that a run which was set aside is reread from its first record.
UPDATE deliveries SET next_offset = 0, ledgers = '{}', state = $3, status = 'delivering', error = '', skipped = 0,
    behind = true, attempt = 0, intent_to = 0, doubt_to = 0, updated = now()
WHERE tracker = $1 AND run_id = $2 AND status = 'parked';

-- name: run_positions
-- First and next offset of runs in the log, and the offset up to which a tracker has them.
SELECT runs.run_id, runs.partition, first_offset, runs.next_offset, coalesce(kept.next_offset, 0) AS delivered
FROM runs LEFT JOIN deliveries AS kept ON kept.run_id = runs.run_id AND kept.tracker = $1
WHERE runs.run_id = ANY ($2);

-- name: get_edits
-- Parts of a run that its log deletes or renames.
SELECT what, name, new_name FROM edits WHERE run_id = $1 ORDER BY what, name, new_name;

-- name: get_console_lines
SELECT stream, time, line FROM console_lines WHERE run_id = $1 ORDER BY log_offset, position;

-- name: incomplete_producers
-- Records of these runs that were sent, or that their producer counted when it closed, and that were never folded.
SELECT run_id, least(sum(absent), 9223372036854775807)::bigint AS absent FROM (
    SELECT run_id, coalesce((SELECT sum((gap ->> 1)::bigint - (gap ->> 0)::bigint)
                             FROM jsonb_array_elements(missing) AS gap), 0)
                   + greatest(0, coalesce(expected, 0) - next_seq) AS absent
    FROM producers WHERE run_id = ANY ($1)
) AS counted WHERE absent > 0 GROUP BY run_id;

-- name: open_dead_letters
-- Undecided records, by key; all of them, or those of some runs.
SELECT record_key, count(*) AS letters FROM dead_letters
LEFT JOIN dead_letters_settled AS settled USING (topic, partition, log_offset)
WHERE settled.decision IS NULL
  AND ($1::bytea[] IS NULL OR sha256(record_key) IN (SELECT sha256(one) FROM unnest($1) AS given (one)))
GROUP BY record_key ORDER BY record_key;

-- name: runs_only_delivered
-- Runs that a tracker received, and that the tables do not have.
SELECT run_id FROM deliveries
WHERE tracker = $1 AND state <> '{}' AND NOT EXISTS (SELECT FROM runs WHERE runs.run_id = deliveries.run_id)
ORDER BY run_id;
