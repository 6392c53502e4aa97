-- Tables of runs: values of chosen columns, and which columns and values there are.

-- name: table_facts
SELECT r.run_id, left(r.name, $3) AS name, r.group_name AS "group", r.tag, left(r.message, $3) AS message,
       left(r.note, $3) AS note, r.parent_run_id, r.created, r.started, coalesce(r.started, r.created) AS began, r.ended,
       r.updated, r.attempt, r.points, :stage AS stage, x.experiment_id, x.experiment,
       coalesce(r.ended, r.updated)::numeric - coalesce(r.started, r.created) AS duration,
       CASE WHEN r.state = 'running' AND r.heartbeats AND r.updated < (extract(epoch FROM now())::float8 - $2) * 1e6
            THEN 'lost' ELSE r.state END AS state
FROM runs r JOIN run_experiments x USING (run_id) WHERE r.run_id = ANY ($1::text[]);

-- name: table_params
-- Of a long value only the beginning, as text.
SELECT run_id, name, CASE WHEN is_short THEN value END AS value,
       CASE WHEN NOT is_short THEN left(value ->> 'value', $3) END AS head
FROM (SELECT run_id, name, value, octet_length(value::text) <= 4 * $3 AS is_short FROM params
      WHERE run_id = ANY ($1::text[]) AND name = ANY ($2::text[]) AND NOT superseded) AS found;

-- name: table_param_paths
-- What JSON parameters have at these paths, each a JSON array of text.
SELECT place, run_id, CASE WHEN is_short THEN jsonb_build_object('type', 'json', 'value', found) END AS value,
       CASE WHEN NOT is_short THEN left(found #>> '{}', $4) END AS head
FROM (SELECT w.place, p.run_id, i.found, octet_length(i.found::text) <= 4 * $4 AS is_short
      FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS w (name, path, place)
      JOIN params p ON p.run_id = ANY ($1::text[]) AND p.name = w.name AND NOT p.superseded
      CROSS JOIN LATERAL (SELECT p.value #> ('{value}' || ARRAY(SELECT jsonb_array_elements_text(w.path::jsonb)))) AS i (found)
      WHERE jsonb_typeof(i.found) <> 'null') AS inside;

-- name: table_labels
SELECT run_id, name, CASE WHEN is_short THEN value END AS value,
       CASE WHEN NOT is_short THEN left(value ->> 'value', $3) END AS head
FROM (SELECT run_id, name, value, octet_length(value::text) <= 4 * $3 AS is_short FROM run_labels
      WHERE run_id = ANY ($1::text[]) AND name = ANY ($2::text[])) AS found;

-- name: table_tags
SELECT run_id, name, left(value, $3) AS value FROM tags WHERE run_id = ANY ($1::text[]) AND name = ANY ($2::text[]);

-- name: table_series
-- Attempts of series with these names, first attempt first.
SELECT series_id, month, run_id, step_name, name, labels, points, non_finite, last_step, last_value, min_value, max_value
FROM series
WHERE run_id = ANY ($1::text[]) AND name = ANY ($2::text[]) AND NOT deleted AND NOT system ORDER BY attempt;

-- name: table_first_values
SELECT series_id, first_value FROM chunks
WHERE series_id = ANY ($1::uuid[]) AND month = ANY ($2::int[]) AND first_index = 0;

-- name: found_runs
SELECT r.run_id FROM runs r WHERE NOT r.deleted AND :condition

-- name: among_found
:alias.run_id IN (SELECT r.run_id FROM runs r WHERE NOT r.deleted AND :condition)

-- name: among_all_but
-- Where nearly all are found, those that are not are fewer.
NOT EXISTS (SELECT FROM runs r WHERE r.run_id = :alias.run_id AND (r.deleted OR NOT (:condition)))

-- name: count_found_runs
SELECT count(*) FROM (:runs) AS found

-- name: param_columns
-- Types as bits, because that needs no sorting; OFFSET 0: names are compared after they are grouped.
SELECT 'param' AS kind, name, types, runs
FROM (SELECT p.name, bit_or(:types) AS types, count(*) AS runs FROM params p
      WHERE NOT p.superseded AND :among GROUP BY p.name OFFSET 0) AS named
WHERE strpos(lower(name), lower(:prefix)) = 1

-- name: tag_columns
SELECT 'tag' AS kind, name, 1 AS types, runs
FROM (SELECT t.name, count(*) AS runs FROM tags t WHERE :among GROUP BY t.name OFFSET 0) AS named
WHERE strpos(lower(name), lower(:prefix)) = 1

-- name: label_columns
SELECT 'label' AS kind, name, types, runs
FROM (SELECT l.name, bit_or(:types) AS types, count(*) AS runs FROM run_labels l
      WHERE :among GROUP BY l.name OFFSET 0) AS named
WHERE strpos(lower(name), lower(:prefix)) = 1

-- name: types_of_value
CASE :value ->> 'type' WHEN 'string' THEN 1 WHEN 'float' THEN 2 WHEN 'int' THEN 4 WHEN 'bool' THEN 8
     WHEN 'datetime' THEN 16 WHEN 'json' THEN 32 WHEN 'histogram' THEN 64 ELSE 0 END

-- name: metric_columns
-- By written name, see schemas/names.py, of the newest attempt.
SELECT 'metric' AS kind, written AS name, bit_or(types) AS types, sum(runs)::bigint AS runs
FROM (SELECT CASE WHEN step_name = 'main' THEN '' ELSE step_name || '/' END || name || CASE WHEN labels = '{}' THEN ''
             ELSE '{' || (SELECT string_agg(key || '=' || value, ',' ORDER BY key COLLATE "C") FROM jsonb_each_text(labels))
             || '}' END AS written, types, runs
      FROM (SELECT s.step_name, s.name, s.labels, bit_or(CASE WHEN s.integer THEN 4 ELSE 2 END) AS types, count(*) AS runs
            FROM series s WHERE NOT s.deleted AND NOT s.system AND :among
              AND NOT EXISTS (SELECT FROM series later
                              WHERE later.run_id = s.run_id AND later.attempt > 1 AND later.attempt > s.attempt
                                AND later.name = s.name AND later.step_name = s.step_name AND later.labels = s.labels
                                AND NOT later.deleted)
            GROUP BY s.name, s.step_name, s.labels) AS grouped OFFSET 0) AS named
WHERE strpos(lower(written), lower(:prefix)) = 1 GROUP BY written

-- name: columns_found
SELECT kind, name, types, runs FROM (:columns) AS found ORDER BY runs DESC, kind, name LIMIT :limit

-- name: param_values
SELECT CASE WHEN is_short THEN value END AS value, CASE WHEN NOT is_short THEN left(value ->> 'value', 1001) END AS head,
       runs
FROM (SELECT p.value, octet_length(p.value::text) <= 4004 AS is_short, count(*) AS runs FROM params p
      WHERE p.name = :name AND NOT p.superseded AND strpos(lower(p.value ->> 'value'), lower(:prefix)) = 1 AND :among
      GROUP BY p.value) AS found
ORDER BY runs DESC, value ->> 'value' LIMIT :limit

-- name: label_values_of_name
SELECT CASE WHEN is_short THEN value END AS value, CASE WHEN NOT is_short THEN left(value ->> 'value', 1001) END AS head,
       runs
FROM (SELECT l.value, octet_length(l.value::text) <= 4004 AS is_short, count(*) AS runs FROM run_labels l
      WHERE (left(l.name, 200) COLLATE "C") = left(:name, 200) AND l.name = :name
        AND strpos(lower(l.value ->> 'value'), lower(:prefix)) = 1 AND :among
      GROUP BY l.value) AS found
ORDER BY runs DESC, value ->> 'value' LIMIT :limit

-- name: tag_values
SELECT left(t.value, 1001) AS value, count(*) AS runs FROM tags t
WHERE t.name = :name AND strpos(lower(t.value), lower(:prefix)) = 1 AND :among
GROUP BY t.value ORDER BY runs DESC, t.value LIMIT :limit

-- name: fact_values
SELECT left(value, 1001) AS value, count(*) AS runs
FROM (SELECT :column AS value FROM runs r JOIN run_experiments x USING (run_id) WHERE NOT r.deleted AND :condition) AS found
WHERE value <> '' AND strpos(lower(value), lower(:prefix)) = 1
GROUP BY found.value ORDER BY runs DESC, found.value LIMIT :limit

-- name: shown_state
-- As in get_run.
(CASE WHEN r.state = 'running' AND r.heartbeats AND r.updated < (extract(epoch FROM now())::float8 - :lost) * 1e6
      THEN 'lost' ELSE r.state END)
