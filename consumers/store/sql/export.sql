-- What exports read.

-- name: export_known_runs
-- Those of these runs that exist, and whether retention dropped their points.
SELECT r.run_id, r.points > 0 AND r.month IN (SELECT month FROM retention_dropped) AS is_dropped
FROM runs r WHERE r.run_id = ANY ($1::text[]) AND NOT r.deleted;

-- name: export_chunks
-- Chunks of one series in log order, as get_packed_points returns them.
SELECT points, min_step, max_step, min_time, array_send(steps) AS steps, array_send(times) AS times,
       array_send(time_deltas) AS time_deltas, array_send(point_values) AS point_values
FROM chunks WHERE series_id = $1 AND month = $2 ORDER BY first_index;

-- name: export_params
-- The parameters of these runs that count, by name, with the types of their values. `is_wide`: there is an integer that
-- a float64 does not hold exactly.
SELECT name, array_agg(DISTINCT value->>'type') AS types,
       bool_or(value->>'type' = 'int' AND (jsonb_typeof(value->'value') <> 'number'
               OR abs((value->>'value')::numeric) > 9007199254740992)) AS is_wide,
       bool_or(value->>'type' = 'int' AND jsonb_typeof(value->'value') <> 'number') AS is_huge
FROM params WHERE run_id = ANY ($1::text[]) AND NOT superseded GROUP BY name ORDER BY name COLLATE "C";

-- name: export_tags
SELECT DISTINCT name COLLATE "C" AS name FROM tags WHERE run_id = ANY ($1::text[]) ORDER BY 1;

-- name: export_metrics
-- The series of these runs, without those of the system.
SELECT DISTINCT name, step_name, labels FROM series WHERE run_id = ANY ($1::text[]) AND NOT deleted AND NOT system;
