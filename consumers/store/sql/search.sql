-- Parts of a search, put together by search.py: `:name` stands for a parameter, never for text. Each condition is one
-- set of runs, so that PostgreSQL may begin with whichever is smallest.

-- name: search
SELECT r.run_id FROM runs r WHERE NOT r.deleted AND :condition
ORDER BY r.created DESC, r.run_id LIMIT :limit OFFSET :skip;

-- name: search_by_fact
SELECT r.run_id FROM runs r WHERE NOT r.deleted AND :condition
ORDER BY :column :direction NULLS LAST, r.run_id LIMIT :limit OFFSET :skip;

-- name: search_ordered
SELECT r.run_id FROM (:keys) AS o (run_id, sort_key) JOIN runs r ON r.run_id = o.run_id
WHERE NOT r.deleted AND :condition
ORDER BY o.sort_key :direction, r.run_id LIMIT :limit OFFSET :skip;

-- name: search_count_ordered
SELECT count(*) FROM (:keys) AS o (run_id, sort_key) JOIN runs r ON r.run_id = o.run_id
WHERE NOT r.deleted AND :condition;

-- name: search_without_key
SELECT r.run_id FROM runs r
WHERE NOT r.deleted AND :condition AND NOT EXISTS (SELECT FROM (:keys) AS o (run_id, sort_key) WHERE o.run_id = r.run_id)
ORDER BY r.created DESC, r.run_id LIMIT :limit OFFSET :skip;

-- name: where_metric
-- The series of the newest attempt counts.
SELECT s.run_id FROM series s
WHERE s.name = :name AND s.step_name = :step AND s.labels = :labels AND NOT s.deleted AND NOT s.system AND :test
  AND NOT EXISTS (SELECT FROM series later
                  WHERE later.run_id = s.run_id AND later.attempt > 1 AND later.attempt > s.attempt
                    AND later.name = s.name AND later.step_name = s.step_name AND later.labels = s.labels
                    AND NOT later.deleted)

-- name: keys_metric
-- NaN has no place in an order.
SELECT s.run_id, s.last_value FROM series s
WHERE s.name = :name AND s.step_name = :step AND s.labels = :labels AND NOT s.deleted AND NOT s.system
  AND s.last_value < 'NaN'
  AND NOT EXISTS (SELECT FROM series later
                  WHERE later.run_id = s.run_id AND later.attempt > 1 AND later.attempt > s.attempt
                    AND later.name = s.name AND later.step_name = s.step_name AND later.labels = s.labels
                    AND NOT later.deleted)

-- name: where_param
-- A parameter of the newest attempt that has it counts, in any named step.
SELECT p.run_id FROM params p
WHERE p.name = :name AND :test
  AND NOT EXISTS (SELECT FROM params later
                  WHERE later.run_id = p.run_id AND later.attempt > 1 AND later.attempt > p.attempt
                    AND later.name = p.name)

-- name: keys_param_number
SELECT p.run_id, min(:number) FROM params p
WHERE p.name = :name AND :number IS NOT NULL
  AND NOT EXISTS (SELECT FROM params later
                  WHERE later.run_id = p.run_id AND later.attempt > 1 AND later.attempt > p.attempt
                    AND later.name = p.name)
GROUP BY p.run_id

-- name: keys_tag
SELECT t.run_id, t.value FROM tags t WHERE t.name = :name

-- name: where_tag
SELECT t.run_id FROM tags t WHERE t.name = :name AND :test

-- name: param_number
-- As the index params_by_number has it.
(CASE WHEN jsonb_typeof(p.value -> 'value') = 'number' AND abs((p.value ->> 'value')::numeric) < 1e300
      THEN (p.value ->> 'value')::double precision END)
