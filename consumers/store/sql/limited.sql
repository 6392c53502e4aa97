-- Reads of someone who sees only some experiments: each statement gets these parts in front, whose names hide the
-- tables. See store/limited.py.

-- name: limit_to_experiments
-- Before the first statement of a snapshot. Experiments by present name; tags that name them, or no experiment.
WITH wanted AS (SELECT name FROM unnest($1::text[]) AS w (name)),
     ids AS (SELECT e.experiment_id FROM experiments e WHERE e.name = ANY ($1::text[])),
     tags AS (
         SELECT n.name FROM experiment_names n JOIN ids USING (experiment_id)
         UNION
         SELECT w.name FROM wanted w WHERE NOT EXISTS (SELECT FROM experiment_names n WHERE n.name = w.name)
     )
SELECT set_config('gateway.limit_ids', ARRAY(SELECT experiment_id FROM ids)::text, true),
       set_config('gateway.limit_tags', ARRAY(SELECT name FROM tags)::text, true),
       set_config('gateway.limit_names', $1::text[]::text, true);

-- name: limited_runs
runs AS NOT MATERIALIZED (
    SELECT r.* FROM runs r
    WHERE (r.experiment_id <> '' AND r.experiment_id = ANY (current_setting('gateway.limit_ids')::text[]))
       OR (r.experiment_id = '' AND r.tag = ANY (current_setting('gateway.limit_tags')::text[]))
       OR (r.experiment_id <> '' AND r.tag = ANY (current_setting('gateway.limit_names')::text[])
           AND NOT EXISTS (SELECT FROM experiments e WHERE e.experiment_id = r.experiment_id))
)

-- name: limited_experiments
experiments AS NOT MATERIALIZED (
    SELECT e.* FROM experiments e WHERE e.experiment_id = ANY (current_setting('gateway.limit_ids')::text[])
)

-- name: limited_part
:table AS NOT MATERIALIZED (SELECT p.* FROM :table p WHERE EXISTS (SELECT FROM runs v WHERE v.run_id = p.run_id))

-- name: limited_dead_letters
-- Keys are bytes that need not be text.
dead_letters AS NOT MATERIALIZED (
    SELECT p.* FROM dead_letters p WHERE EXISTS (SELECT FROM runs v WHERE convert_to(v.run_id, 'UTF8') = p.record_key)
)

-- name: tables_of_runs
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attname = 'run_id' AND NOT a.attisdropped
  AND c.relnamespace = current_schema()::regnamespace
ORDER BY c.relname;
