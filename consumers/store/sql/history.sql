-- History of runs for trackers, for records that the log has lost.

-- name: claim_new_runs
-- Runs that a tracker never had and that overlap lost offsets it needs: from offset $4 of a partition to below the
-- log's beginning $5. They are to be read from their beginning.
INSERT INTO deliveries (tracker, run_id, topic, partition, next_offset, ledgers, state, status, error, skipped, behind)
SELECT $1, r.run_id, $2, r.partition, 0, '{}', '{}', 'delivering', '', 0, true
FROM runs r JOIN unnest($3::int[], $4::bigint[], $5::bigint[]) AS lost (partition, since, below) USING (partition)
WHERE coalesce(r.first_offset, 0) < lost.below AND r.next_offset > lost.since
ON CONFLICT (tracker, run_id) DO NOTHING;

-- name: claim_known_runs
-- The same for runs that the tracker has up to some offset.
UPDATE deliveries d SET behind = true
FROM runs r JOIN unnest($2::int[], $3::bigint[], $4::bigint[]) AS lost (partition, since, below) USING (partition)
WHERE d.tracker = $1 AND d.run_id = r.run_id AND NOT d.behind AND d.status <> 'parked'
  AND coalesce(r.first_offset, 0) < lost.below AND greatest(d.next_offset, lost.since) < least(lost.below, r.next_offset);

-- name: runs_with_losses
-- Of these runs of a tracker, each wanted from an offset in a log with a given beginning: those with lost records,
-- whether a part of them may have reached the tracker, and whether retention dropped their points.
SELECT wanted.run_id, wanted.partition, d.next_offset > 0 OR d.attempt > 0 OR d.doubt_to > 0 AS is_begun,
       r.points > 0 AND r.month IN (SELECT month FROM retention_dropped) AS is_dropped
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS wanted (run_id, partition, since, below)
JOIN runs r ON r.run_id = wanted.run_id
JOIN deliveries d ON d.tracker = $1 AND d.run_id = wanted.run_id
WHERE coalesce(r.first_offset, 0) < wanted.below AND r.next_offset > wanted.since
ORDER BY r.created, r.run_id;

-- name: planned_histories
-- What a backfill to tracker $5 would deliver now, of runs $1 or of all if it is null. The tracker was delivered to up
-- to offset $3 of a partition, and the log begins at $4.
WITH wanted AS (
    SELECT r.*, lost.below, coalesce(d.status, '') = 'parked' AS is_parked,
           CASE WHEN d.behind THEN d.next_offset ELSE greatest(lost.since, coalesce(d.next_offset, 0)) END AS since,
           coalesce(d.next_offset > 0 OR d.attempt > 0 OR d.doubt_to > 0, false) AS is_begun
    FROM runs r
    JOIN unnest($2::int[], $3::bigint[], $4::bigint[]) AS lost (partition, since, below) USING (partition)
    LEFT JOIN deliveries d ON d.tracker = $5 AND d.run_id = r.run_id
    WHERE $1::text[] IS NULL OR r.run_id = ANY ($1::text[])
)
SELECT w.run_id, w.partition, w.is_begun AND w.since < 4611686018427387904 AS is_begun,
       CASE WHEN w.since >= 4611686018427387904 THEN (
           SELECT coalesce(sum(h.points), 0) FROM deliveries_history_rows h
           WHERE h.tracker = $5 AND h.run_id = w.run_id AND h.place >= w.since - 4611686018427387904)
       WHEN w.month IN (SELECT month FROM retention_dropped) THEN 0 ELSE counted.points END::bigint AS points,
       CASE WHEN w.month IN (SELECT month FROM retention_dropped) AND w.since < 4611686018427387904
            THEN counted.points ELSE 0 END::bigint AS dropped_points
FROM wanted w
CROSS JOIN LATERAL (SELECT coalesce(sum(s.points), 0) AS points FROM series s
                    WHERE s.run_id = w.run_id AND NOT s.deleted) AS counted
WHERE NOT w.is_parked
  AND (w.since >= 4611686018427387904
       OR (coalesce(w.first_offset, 0) < w.below AND w.since < w.below AND w.next_offset > w.since))
ORDER BY w.created, w.run_id;

-- name: runs_without_points
-- Of these runs, those whose points retention dropped.
SELECT run_id FROM runs
WHERE run_id = ANY ($1::text[]) AND points > 0 AND month IN (SELECT month FROM retention_dropped);

-- name: clear_history
-- Rows that an earlier attempt, or a forgotten tracker, left.
WITH head AS (DELETE FROM deliveries_history WHERE tracker = $1 AND run_id = $2)
DELETE FROM deliveries_history_rows WHERE tracker = $1 AND run_id = $2;

-- name: points_lost_by_retention
-- Points of a run that no longer exist anywhere.
SELECT coalesce(sum(s.points), 0)::bigint FROM series s
WHERE s.run_id = $1 AND NOT s.deleted AND s.month IN (SELECT month FROM retention_dropped);

-- name: freeze_events
INSERT INTO deliveries_history_rows (tracker, run_id, place, event, points)
SELECT $1, $2, $3 + given.place - 1, given.event, 0 FROM unnest($4::text[]) WITH ORDINALITY AS given (event, place);

-- name: freeze_points
-- In log order within each series, and the series interleaved about as they were written.
INSERT INTO deliveries_history_rows (tracker, run_id, place, event, points, min_step, max_step, min_time, steps, times,
    time_deltas, point_values)
SELECT $1, $2, $3 + row_number() OVER (ORDER BY s.attempt, c.first_index, s.step_name, s.name, s.series_id) - 1,
       json_build_object('kind', CASE WHEN s.system THEN 'system_metrics' ELSE 'metrics' END,
           'time', greatest(0, least(c.max_time, 4611686018427387904)), 'step_name', s.step_name, 'attempt', s.attempt,
           'series', json_build_array(json_build_object('name', s.name, 'labels', s.labels, 'integer', s.integer)))::text,
       c.points, c.min_step, c.max_step, c.min_time, c.steps, c.times, c.time_deltas, c.point_values
FROM series s JOIN chunks c ON c.series_id = s.series_id AND c.month = s.month
WHERE s.run_id = $2 AND NOT s.deleted;

-- name: freeze_observations
INSERT INTO deliveries_history_rows (tracker, run_id, place, event, points)
SELECT $1, $2, $3 + row_number() OVER (ORDER BY log_offset, step_name, attempt) - 1,
       json_build_object('kind', 'values', 'time', max(time), 'step_name', step_name, 'attempt', attempt,
           'values', json_agg(json_build_object('name', name, 'labels', labels, 'step', step, 'time', time,
                                                'value', value) ORDER BY position))::text, 0
FROM observations WHERE run_id = $2 GROUP BY log_offset, step_name, attempt;

-- name: freeze_console_lines
INSERT INTO deliveries_history_rows (tracker, run_id, place, event, points)
SELECT $1, $2, $3 + row_number() OVER (ORDER BY log_offset, stream) - 1,
       json_build_object('kind', 'text', 'time', greatest(0, least(max(time), 4611686018427387904)), 'stream', stream,
           'lines', json_agg(line ORDER BY position), 'times', json_agg(time ORDER BY position))::text, 0
FROM console_lines WHERE run_id = $2 GROUP BY log_offset, stream;

-- name: keep_history
INSERT INTO deliveries_history (tracker, run_id, ledgers, partition, next_offset, places, dropped_points, is_removal)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: enter_history
-- From now on the tracker reads the run from these rows.
UPDATE deliveries SET next_offset = $3, ledgers = '{}', attempt = 0, intent_to = 0, doubt_to = 0, dropped_points = $4,
    behind = true, updated = now()
WHERE tracker = $1 AND run_id = $2 AND status <> 'parked' AND next_offset < $3
RETURNING run_id;

-- name: load_history
-- The history of a run that is being delivered; any other rows were left by a forgotten tracker.
SELECT h.partition, h.next_offset, h.places, h.dropped_points, h.is_removal
FROM deliveries_history h JOIN deliveries d USING (tracker, run_id)
WHERE h.tracker = $1 AND h.run_id = $2 AND d.next_offset >= $3;

-- name: history_rows
SELECT place, event, points, min_step, max_step, min_time, steps, times, time_deltas, point_values
FROM deliveries_history_rows WHERE tracker = $1 AND run_id = $2 AND place >= $3 ORDER BY place LIMIT $4;

-- name: leave_history
-- The tracker has all of it: the log continues at the offset up to which PostgreSQL had folded it, with the folded
-- numbers of each producer. After a removal the run starts from scratch.
UPDATE deliveries d SET
    next_offset = CASE WHEN h.is_removal THEN 0 ELSE h.next_offset END,
    ledgers = CASE WHEN h.is_removal THEN '{}' ELSE h.ledgers END,
    state = CASE WHEN h.is_removal THEN '{}' ELSE d.state END,
    attempt = 0, intent_to = 0, doubt_to = 0, updated = now()
FROM deliveries_history h
WHERE d.tracker = $1 AND d.run_id = $2 AND h.tracker = d.tracker AND h.run_id = d.run_id
  AND d.next_offset = $3::bigint + h.places
RETURNING d.next_offset;

-- name: left_history
-- Offset of a run that has left its history.
SELECT next_offset FROM deliveries d
WHERE d.tracker = $1 AND d.run_id = $2 AND d.next_offset < $3
  AND NOT EXISTS (SELECT FROM deliveries_history h WHERE h.tracker = $1 AND h.run_id = $2);

-- name: dropped_of_runs
-- Runs of a tracker, of $2 or all if it is null, that it has without points that no longer exist anywhere.
SELECT run_id, dropped_points FROM deliveries
WHERE tracker = $1 AND dropped_points > 0 AND ($2::text[] IS NULL OR run_id = ANY ($2::text[])) ORDER BY run_id;
