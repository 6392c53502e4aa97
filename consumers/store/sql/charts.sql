-- name: series_named
-- The attempts of the series of runs ($1) with one of these written names ($2, see schemas/names.py), with the lowest
-- step of later attempts, from which on they are superseded. Runs whose points were dropped have none.
SELECT s.run_id, s.series_id, s.month, (
    SELECT min(c.min_step) FROM series later JOIN chunks c ON c.series_id = later.series_id AND c.month = later.month
    WHERE later.run_id = s.run_id AND later.step_name = s.step_name AND later.name = s.name
      AND later.labels = s.labels AND later.attempt > s.attempt AND NOT later.deleted) AS restart
FROM series s JOIN runs r ON r.run_id = s.run_id
WHERE s.run_id = ANY ($1::text[]) AND NOT s.deleted AND NOT r.deleted 
  AND EXISTS (SELECT FROM unnest($2::text[]) AS wanted WHERE strpos(wanted, s.name) > 0)
  AND CASE WHEN s.step_name = 'main' THEN '' ELSE s.step_name || '/' END || s.name || CASE WHEN s.labels = '{}' THEN ''
      ELSE '{' || (SELECT string_agg(key || '=' || value, ',' ORDER BY key COLLATE "C") FROM jsonb_each_text(s.labels))
      || '}' END = ANY ($2)
  AND NOT EXISTS (SELECT FROM retention_dropped d WHERE d.month = s.month)
ORDER BY s.run_id COLLATE "C", s.attempt, s.step_name;

-- name: chunk_bounds
-- Bounds of the chunks of a series that may have points with steps from $3 to $4, at a time of $5 or later.
SELECT first_index, points, min_step, max_step, min_time, max_time,
       points = 1 OR (steps IS NULL AND min_step < max_step) AS is_distinct
FROM chunks WHERE series_id = $1 AND month = $2 AND max_step >= $3::bigint AND min_step <= $4::bigint AND max_time >= $5;

-- name: packed_chunks
-- Chunks of a series by their first indexes, with arrays in their binary format: a driver that creates objects of all values takes
-- longer than PostgreSQL to send them.
SELECT first_index, points, min_step, max_step, min_time, array_send(steps) AS steps, array_send(times) AS times,
       array_send(time_deltas) AS time_deltas, array_send(point_values) AS point_values
FROM chunks WHERE series_id = $1 AND month = $2 AND first_index = ANY ($3::bigint[]);
