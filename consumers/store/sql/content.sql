-- Console lines and values of a run in pages.

-- name: console_page
-- In the order of the primary key.
SELECT time, log_offset, position, stream, left(line, 10001) AS line FROM console_lines
WHERE run_id = :run_id AND :condition
ORDER BY time :direction, log_offset :direction, position :direction LIMIT :limit;

-- name: line_behind
(time, log_offset, position) :sign (:time, :log_offset, :position)

-- name: observations_page
SELECT time, log_offset, position, step_name, name, labels, step, value ->> 'type' AS type,
       CASE WHEN octet_length(value::text) <= 40000 THEN value END AS value,
       CASE WHEN octet_length(value::text) > 40000 THEN left(value ->> 'value', 10001) END AS head
FROM observations
WHERE run_id = :run_id AND :condition
ORDER BY log_offset :direction, position :direction LIMIT :limit;

-- name: value_series
-- Names of a run ($1) with values that are no numbers, at most $2.
SELECT step_name, name, labels, array_agg(DISTINCT value ->> 'type') AS types, count(*) AS count,
       max(step) AS last_step, max(time) AS last_time
FROM observations WHERE run_id = $1 GROUP BY step_name, name, labels ORDER BY name, step_name, labels LIMIT $2;

-- name: deliveries_of_run
-- What each tracker has of a run.
SELECT tracker, status, error, next_offset, attempt, skipped, state, updated FROM deliveries WHERE run_id = $1
ORDER BY tracker;

-- name: folded_of_run
SELECT partition, next_offset FROM runs WHERE run_id = $1 AND NOT deleted;

-- name: value_behind
(log_offset, position) :sign (:log_offset, :position)

-- name: of_series
(step_name, name, labels) IN (SELECT * FROM unnest(:steps, :names, :labels))

-- name: limit_search
SELECT set_config('statement_timeout', $1, true);
