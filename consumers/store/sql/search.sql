-- Parts of a search, assembled by sql_builder.py: `:name` stands for a parameter or another part, never for text that
-- people typed. Each condition is one set of runs, so that PostgreSQL can begin with the smallest.

-- name: stage_with_experiment
-- The stage of a run in the view of MLflow's clients: the runs of a deleted experiment are deleted, until it is restored.
CASE WHEN r.experiment_id = ANY (ARRAY(SELECT e.experiment_id FROM experiments e WHERE e.deleted)) THEN 'deleted'
     ELSE r.lifecycle_stage END

-- name: search
SELECT r.run_id, r.created AS sort_value FROM runs r WHERE NOT r.deleted AND :condition AND :behind
ORDER BY r.created DESC, r.run_id LIMIT :limit;

-- name: search_by_fact
SELECT r.run_id, :column AS sort_value FROM runs r
WHERE NOT r.deleted AND :condition AND :column IS NOT NULL AND :behind
ORDER BY :column :direction, r.run_id LIMIT :limit;

-- name: search_ordered
SELECT r.run_id, o.sort_value FROM (:keys) AS o (run_id, sort_value) JOIN runs r ON r.run_id = o.run_id
WHERE NOT r.deleted AND :condition AND :behind
ORDER BY o.sort_value :direction, r.run_id LIMIT :limit;

-- name: search_by_keys
-- Runs in the order of several keys, with rank and value of each key.
SELECT r.run_id:places FROM runs r :joined
WHERE NOT r.deleted AND :condition AND :behind
ORDER BY :order LIMIT :limit OFFSET :offset;

-- name: join_keys
LEFT JOIN (:keys) AS :alias (run_id, sort_value) ON :alias.run_id = r.run_id

-- name: join_there
JOIN (:keys) AS :alias (run_id, sort_value) ON :alias.run_id = r.run_id

-- name: rank_of_key
-- Runs with a value come first, in both directions, then those with NaN, then those without a value.
(CASE WHEN :column IS NULL THEN 2 WHEN :is_nan THEN 1 ELSE 0 END)

-- name: without_key
NOT EXISTS (SELECT FROM (:keys) AS o (run_id, sort_value) WHERE o.run_id = r.run_id)

-- name: behind
-- The first test is for the indexes: PostgreSQL begins at the value.
(:column :at_or_after :value AND (:column :after :value OR r.run_id > :run_id))

-- name: where_metric
-- The series of the newest attempt counts.
SELECT s.run_id FROM series s
WHERE s.name = :name AND s.step_name = :step AND s.labels = :labels AND NOT s.deleted AND NOT s.system AND :test
  AND NOT EXISTS (SELECT FROM series later
                  WHERE later.run_id = s.run_id AND later.attempt > 1 AND later.attempt > s.attempt
                    AND later.name = s.name AND later.step_name = s.step_name AND later.labels = s.labels
                    AND NOT later.deleted)

-- name: newest_of_series
-- The value of the newest attempt.
SELECT s.run_id, :value AS value FROM series s
WHERE s.name = :name AND s.step_name = :step AND s.labels = :labels AND NOT s.deleted AND NOT s.system
  AND NOT EXISTS (SELECT FROM series later
                  WHERE later.run_id = s.run_id AND later.attempt > 1 AND later.attempt > s.attempt
                    AND later.name = s.name AND later.step_name = s.step_name AND later.labels = s.labels
                    AND NOT later.deleted)

-- name: all_of_series
-- Of all attempts together, as charts state them.
SELECT s.run_id, :value AS value FROM series s
WHERE s.name = :name AND s.step_name = :step AND s.labels = :labels AND NOT s.deleted AND NOT s.system
GROUP BY s.run_id

-- name: keys_of_series
-- The same for an order, which joins them: nearly all runs have one attempt, and its value needs no sum. To group
-- 100,000 rows takes longer than to find them.
SELECT s.run_id, :single AS value FROM series s
WHERE s.name = :name AND s.step_name = :step AND s.labels = :labels AND NOT s.deleted AND NOT s.system
  AND NOT EXISTS (SELECT FROM series later WHERE later.run_id = s.run_id AND later.attempt > 1)
UNION ALL
SELECT s.run_id, :value AS value FROM series s
WHERE s.name = :name AND s.step_name = :step AND s.labels = :labels AND NOT s.deleted AND NOT s.system
  AND s.run_id IN (SELECT later.run_id FROM series later WHERE later.attempt > 1)
GROUP BY s.run_id

-- name: first_of_series
-- The point that was recorded first; none where retention dropped the points.
SELECT DISTINCT ON (s.run_id) s.run_id, c.first_value AS value
FROM series s JOIN chunks c ON c.series_id = s.series_id AND c.month = s.month AND c.first_index = 0
WHERE s.name = :name AND s.step_name = :step AND s.labels = :labels AND NOT s.deleted AND NOT s.system
ORDER BY s.run_id, s.attempt

-- name: lowest_of_places
SELECT run_id, min(value) AS value FROM (:values) AS all_places GROUP BY run_id

-- name: comparable_keys
-- NaN has no position in an order.
SELECT v.run_id, v.value FROM (:values) AS v WHERE v.value < 'NaN'

-- name: where_value
SELECT v.run_id FROM (:values) AS v WHERE :test

-- name: keys_experiment
SELECT x.run_id, left(:column, 200) COLLATE "C" FROM run_experiments x

-- name: of_experiment
-- Runs of the experiments with these names, and of tags that no experiment has or had as a name. Arrays, because an
-- index finds their elements.
(r.experiment_id <> ''
 AND r.experiment_id = ANY (ARRAY(SELECT e.experiment_id FROM experiments e WHERE e.name = ANY (:wanted)))
 OR r.tag <> '' AND (left(r.tag, 200) COLLATE "C") = ANY (ARRAY(SELECT left(named.name, 200) FROM (:named) AS named))
 AND r.tag = ANY (ARRAY(SELECT named.name FROM (:named) AS named)) AND r.experiment_id = ''
 OR r.tag <> '' -- of an experiment that is not there, or not yet
 AND (left(r.tag, 200) COLLATE "C") = ANY (ARRAY(SELECT left(w.name, 200) FROM unnest(:wanted) AS w (name)))
 AND r.tag = ANY (:wanted) AND r.experiment_id <> ''
 AND NOT EXISTS (SELECT FROM experiments e WHERE e.experiment_id = r.experiment_id))

-- name: tags_of_experiment
SELECT n.name FROM experiment_names n JOIN experiments e USING (experiment_id) WHERE e.name = ANY (:wanted)
UNION ALL
SELECT w.name FROM unnest(:wanted) AS w (name) WHERE NOT EXISTS (SELECT FROM experiment_names n WHERE n.name = w.name)

-- name: of_experiment_id
(r.experiment_id <> '' AND r.experiment_id = ANY (:wanted)
 OR r.tag <> '' AND (left(r.tag, 200) COLLATE "C") = ANY (ARRAY(SELECT left(named.name, 200) FROM (:named) AS named))
 AND r.tag = ANY (ARRAY(SELECT named.name FROM (:named) AS named)) AND r.experiment_id = '')

-- name: tags_of_experiment_id
SELECT n.name FROM experiment_names n WHERE n.experiment_id = ANY (:wanted)

-- name: experiment_like
-- The same for any test of a name. Each set of names is made once.
(r.experiment_id <> ''
 AND r.experiment_id = ANY (ARRAY(SELECT e.experiment_id FROM experiments e WHERE :test_of_name))
 OR r.experiment_id = '' AND r.tag = ANY (ARRAY(
     SELECT n.name FROM experiment_names n JOIN experiments e USING (experiment_id) WHERE :test_of_name))
 OR :test_of_tag AND CASE WHEN r.experiment_id = '' THEN NOT EXISTS (SELECT FROM experiment_names n WHERE n.name = r.tag)
    ELSE NOT EXISTS (SELECT FROM experiments e WHERE e.experiment_id = r.experiment_id) END)

-- name: experiment_id_like
(r.experiment_id <> '' AND :test_of_id
 OR r.experiment_id = '' AND r.tag = ANY (ARRAY(SELECT n.name FROM experiment_names n WHERE :test_of_names_id))
 OR r.experiment_id = '' AND :test_of_none AND NOT EXISTS (SELECT FROM experiment_names n WHERE n.name = r.tag))

-- name: is_active
-- In the view of stage_with_experiment. CASE, because PostgreSQL expects that no run is in none of these experiments.
(r.lifecycle_stage = 'active'
 AND CASE WHEN r.experiment_id = ANY (ARRAY(SELECT e.experiment_id FROM experiments e WHERE e.deleted)) THEN false
     ELSE true END)

-- name: in_stage
r.lifecycle_stage = :stage

-- name: deleted_experiments
SELECT experiment_id FROM experiments WHERE deleted;

-- name: in_experiment
-- For one experiment an index has its runs in order.
r.experiment_id = :wanted

-- name: in_experiments
r.experiment_id = ANY (:wanted)

-- name: tag_names_experiment
-- The names are those of the experiments that are asked for.
(r.experiment_id = '' AND (left(r.tag, 200) COLLATE "C") = ANY (:heads) AND r.tag = ANY (:names))

-- name: in_no_experiment
(r.experiment_id = '' AND NOT EXISTS (SELECT FROM experiment_names n WHERE n.name = r.tag))

-- name: names_of_experiments
SELECT name FROM experiment_names WHERE experiment_id = ANY ($1::text[]);

-- name: where_param
-- The value that counts, see schemas/params.py.
SELECT p.run_id FROM params p WHERE p.name = :name AND NOT p.superseded AND :test

-- name: is_boolean
(jsonb_typeof(p.value -> 'value') = 'boolean' AND :text = ANY (:wanted))

-- name: where_label
SELECT l.run_id FROM run_labels l WHERE (left(l.name, 200) COLLATE "C") = left(:name, 200) AND l.name = :name AND :test

-- name: where_inside_labels
-- Any value at a path inside any label whose name begins so. The range is that of the index.
SELECT l.run_id FROM run_labels l
WHERE (left(l.name, 200) COLLATE "C") BETWEEN left(:name, 200) AND left(:name, 200) || U&'\+10FFFF'
  AND starts_with(l.name, :name) AND EXISTS (SELECT FROM jsonb_path_query(l.value, :path) AS found (item) WHERE :test)

-- name: label_values
SELECT DISTINCT :experiment_id AS experiment_id, ARRAY(
    SELECT jsonb_path_query_first(l.value, path::jsonpath) #>> '{}' FROM unnest(:paths) WITH ORDINALITY AS p (path, place)
    ORDER BY place) AS found
FROM run_labels l JOIN runs r USING (run_id)
WHERE (left(l.name, 200) COLLATE "C") BETWEEN left(:prefix, 200) AND left(:prefix, 200) || U&'\+10FFFF'
  AND starts_with(l.name, :prefix) AND NOT r.deleted AND :condition
ORDER BY experiment_id, found LIMIT :limit;

-- name: where_param_inside
-- A value inside a JSON parameter: no index helps, but that of the names.
SELECT p.run_id FROM params p
WHERE p.name = :name AND :value IS NOT NULL AND :test
  AND NOT EXISTS (SELECT FROM params later
                  WHERE later.run_id = p.run_id AND later.attempt > 1 AND later.attempt > p.attempt
                    AND later.name = p.name)

-- name: inside_number
(CASE WHEN jsonb_typeof(:value) = 'number' AND abs((:value #>> '{}')::numeric) < 1e300
      THEN (:value #>> '{}')::double precision END)

-- name: keys_param_number
SELECT p.run_id, :number FROM params p WHERE p.name = :name AND NOT p.superseded AND :number IS NOT NULL

-- name: keys_param_text
-- The beginning of the value, as the index params_by_text holds it. JSON's null is no text.
SELECT p.run_id, left(p.value ->> 'value', 200) COLLATE "C" FROM params p
WHERE p.name = :name AND NOT p.superseded AND p.value ->> 'value' IS NOT NULL

-- name: keys_tag
-- The beginning of the value, as the index tags_by_text holds it.
SELECT t.run_id, left(t.value, 200) COLLATE "C" FROM tags t WHERE t.name = :name

-- name: where_any_tag
SELECT t.run_id FROM tags t WHERE :test

-- name: where_tag
SELECT t.run_id FROM tags t WHERE t.name = :name AND :test

-- name: param_number
-- As the index params_by_number holds it.
(CASE WHEN jsonb_typeof(:row.value -> 'value') = 'number' AND abs((:row.value ->> 'value')::numeric) < 1e300
      THEN (:row.value ->> 'value')::double precision END)
