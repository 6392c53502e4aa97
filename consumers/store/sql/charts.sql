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

-- name: charted_runs
-- When these runs began, and when their points were dropped (µs).
SELECT r.run_id, coalesce(r.started, r.created) AS began,
       (SELECT (extract(epoch FROM d.dropped) * 1e6)::bigint FROM retention_dropped d
        WHERE d.month = r.month AND r.points > 0) AS points_dropped
FROM runs r WHERE r.run_id = ANY ($1::text[]) AND NOT r.deleted;

-- name: series_of_runs
-- Written series of runs ($1), in their order, those of the system last: the first $12 after a position ($6 to $11), and
-- how many there are. Written names (schemas/names.py) are among $2, contain each of the words $3, match the regular
-- expression $4 and begin with $5. A position has the beginning and the hash of the labels, which may be long.
WITH named AS (
    SELECT w.place, s.run_id, bool_and(s.system) AS system, s.step_name, s.name, s.labels::text AS labels_text,
           array_agg(s.series_id ORDER BY s.attempt) AS ids,
           CASE WHEN s.step_name = 'main' THEN '' ELSE s.step_name || '/' END || s.name || CASE WHEN s.labels = '{}' THEN ''
               ELSE '{' || (SELECT string_agg(key || '=' || value, ',' ORDER BY key COLLATE "C")
                            FROM jsonb_each_text(s.labels)) || '}' END AS written
    FROM unnest($1::text[]) WITH ORDINALITY AS w (run_id, place) JOIN series s ON s.run_id = w.run_id
    WHERE NOT s.deleted
      AND ($2::text[] IS NULL OR EXISTS (SELECT FROM unnest($2) AS one WHERE strpos(one, s.name) > 0))
    GROUP BY w.place, s.run_id, s.step_name, s.name, s.labels
), wanted AS (
    SELECT place, run_id, system, step_name, name, labels_text, ids, left(labels_text, 200) AS labels_begin,
           encode(sha256(convert_to(labels_text, 'UTF8')), 'hex') AS labels_hash FROM named
    WHERE ($2::text[] IS NULL OR written = ANY ($2))
      AND NOT EXISTS (SELECT FROM unnest($3::text[]) AS word WHERE strpos(lower(written), lower(word)) = 0)
      AND ($4::text IS NULL OR written ~ $4) AND ($5::text IS NULL OR starts_with(written, $5))
)
SELECT *, (SELECT count(*) FROM wanted) AS total FROM wanted
WHERE $6::bigint IS NULL
   OR (place, system, step_name, name, labels_begin, labels_hash) > ($6, $7::boolean, $8::text, $9::text, $10::text, $11::text)
ORDER BY place, system, step_name, name, labels_begin, labels_hash LIMIT $12;

-- name: series_with_ids
SELECT * FROM series WHERE series_id = ANY ($1::uuid[]);

-- name: goals_and_units
SELECT run_id, name, goal, unit FROM metric_definitions WHERE run_id = ANY ($1::text[]);

-- name: histograms_of_series
-- Histograms of a written series ($2) of a run, by step: all, or $3 of them, evenly chosen, with the first and the last.
-- Those of a step that a later attempt repeated are left out.
WITH named AS (
    SELECT o.step, o.time, o.value -> 'value' AS histogram, o.log_offset, o.position,
           min(o.step) OVER (ORDER BY o.attempt DESC GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS restart
    FROM observations o
    WHERE o.run_id = $1 AND strpos($2::text, o.name) > 0 AND o.value ->> 'type' = 'histogram'
      AND CASE WHEN o.step_name = 'main' THEN '' ELSE o.step_name || '/' END || o.name || CASE WHEN o.labels = '{}' THEN ''
          ELSE '{' || (SELECT string_agg(key || '=' || value, ',' ORDER BY key COLLATE "C")
                       FROM jsonb_each_text(o.labels)) || '}' END = $2
), kept AS (
    SELECT step, time, histogram, row_number() OVER (ORDER BY step, time, log_offset, position) - 1 AS place,
           count(*) OVER () AS total
    FROM named WHERE restart IS NULL OR step < restart
), chosen AS (
    SELECT DISTINCT CASE WHEN total <= $3::int THEN number ELSE number * (total - 1) / greatest($3 - 1, 1) END AS place
    FROM (SELECT max(total) AS total FROM kept) AS counted CROSS JOIN generate_series(0, least(total, $3) - 1) AS number
)
SELECT step, time, histogram, total FROM kept JOIN chosen USING (place) ORDER BY place;

-- name: step_bounds
-- Lowest and highest step of the chunks of some series ($1) of months ($2).
SELECT min(c.min_step) AS first, max(c.max_step) AS last
FROM unnest($1::uuid[], $2::int[]) AS w (series_id, month)
JOIN chunks c ON c.series_id = w.series_id AND c.month = w.month;

-- name: names_matching
SELECT name FROM unnest($1::text[]) AS name WHERE name ~ $2;

-- name: repeating_runs
SELECT DISTINCT run_id FROM producers WHERE run_id = ANY ($1::text[]) AND refused > 0;
