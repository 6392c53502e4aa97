-- Comparisons of runs.

-- name: diff_rows
-- Names and values of a run; of a long value the beginning and a hash.
SELECT name, bytes, CASE WHEN bytes <= 65536 THEN value END AS value,
       CASE WHEN bytes > 65536 THEN left(value::text, 1000) END AS head, CASE WHEN bytes > 65536 THEN md5(value::text) END AS hash
FROM (SELECT name, value, octet_length(value::text) AS bytes FROM (:rows) AS rows (name, value)) AS measured
ORDER BY name COLLATE "C";

-- name: fact_hashes
-- Of facts that are text: of a long one only the beginning is read.
SELECT r.run_id, md5(r.name) AS name, md5(r.group_name) AS "group", md5(r.tag) AS tag, md5(r.message) AS message,
       md5(r.note) AS note, md5(r.parent_run_id) AS parent_run_id, md5(x.experiment) AS experiment,
       md5(x.experiment_id) AS experiment_id
FROM runs r JOIN run_experiments x USING (run_id) WHERE r.run_id = ANY ($1::text[]);

-- name: diff_params
SELECT name, value FROM params WHERE run_id = $1 AND NOT superseded

-- name: diff_environment
SELECT e.key, e.value FROM runs CROSS JOIN LATERAL jsonb_each(environment) AS e WHERE run_id = $1

-- name: diff_tags
SELECT name, to_jsonb(value) FROM tags WHERE run_id = $1

-- name: diff_code
-- Of the newest attempt of each step.
SELECT DISTINCT ON (1) CASE WHEN step_name = 'main' THEN '' ELSE step_name || '/' END || code_identifier_type,
       jsonb_build_object('identifier', code_identifier, 'dependable', code_identifier_dependable,
                          'url', code_identifier_url, 'message', code_identifier_message, 'diff_sha256', diff_sha256)
FROM code_identities WHERE run_id = $1 ORDER BY 1, attempt DESC, code_identifier DESC

-- name: diff_metrics
SELECT CASE WHEN step_name = 'main' THEN '' ELSE step_name || '/' END || name || CASE WHEN labels = '{}' THEN '' ELSE
           '{' || (SELECT string_agg(key || '=' || value, ',' ORDER BY key COLLATE "C") FROM jsonb_each_text(labels))
           || '}' END,
       jsonb_build_object('last', (array_agg(last_value ORDER BY attempt DESC))[1], 'min', min(min_value),
                          'max', max(max_value), 'count', sum(points), 'non_finite', sum(non_finite))
FROM series WHERE run_id = $1 AND NOT deleted AND NOT system GROUP BY step_name, name, labels

-- name: diff_attempts
SELECT step_name || '/' || attempt,
       jsonb_build_object('state', state, 'message', message, 'duration', ended::numeric - started)
FROM attempts WHERE run_id = $1

-- name: diff_artifacts
-- The newest of a name.
SELECT DISTINCT ON (1) CASE WHEN step_name = 'main' THEN '' ELSE step_name || '/' END || name,
       jsonb_build_object('sha256', sha256, 'size', size, 'uri', uri)
FROM artifacts WHERE run_id = $1 ORDER BY 1, attempt DESC, time DESC

-- name: series_of_two
SELECT DISTINCT run_id, step_name, name, labels::text AS labels_text, labels FROM series
WHERE run_id = ANY ($1::text[]) AND NOT deleted AND (NOT system OR $2::boolean);
