-- Writes. Rows come as one JSON array; json and not jsonb, so that -0.0 and NaN reach double precision unchanged.

-- name: claim_offset
-- Start a partition that this consumer has never read at offset 0.
INSERT INTO consumer_offsets (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, 0)
ON CONFLICT DO NOTHING;

-- name: load_offsets
-- Next offset of a consumer, by partition.
SELECT partition, next_offset FROM consumer_offsets WHERE consumer = $1 AND topic = $2;

-- name: last_records
-- The last record that a consumer has read of each partition, where it is known and was not undone by a person who
-- moved the offset back.
SELECT partition, last_offset, last_time FROM consumer_offsets
WHERE consumer = $1 AND topic = $2 AND last_offset < next_offset;

-- name: all_offsets
-- Next offset of every consumer, by partition.
SELECT consumer, partition, next_offset FROM consumer_offsets WHERE topic = $1;

-- name: find_run_partitions
SELECT run_id, partition FROM run_partitions WHERE topic = $1 AND run_id = ANY ($2::text[]);

-- name: claim_run_partitions
-- The first claim counts; returns only those that this statement made. Sorted, so that two of them never deadlock.
INSERT INTO run_partitions (topic, run_id, partition)
SELECT $1, given.run_id, given.partition FROM unnest($2::text[], $3::int[]) AS given (run_id, partition) ORDER BY run_id
ON CONFLICT DO NOTHING
RETURNING run_id, partition;

-- name: uncopied_strays
-- Offsets, by partition, below which an earlier release folded strays where they were.
SELECT partition, below FROM run_partitions_uncopied WHERE topic = $1;

-- name: strays_are_copied
DELETE FROM run_partitions_uncopied WHERE topic = $1;

-- name: move_offsets
-- Compare and set, for all partitions of a batch: skips a row that another worker has moved first, which fences this
-- one. It returns the identity of the tables, which `gateway rebuild` exchanges.
UPDATE consumer_offsets AS kept SET next_offset = moved.following, last_offset = moved.following - 1,
    last_time = moved.last_time
FROM unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[]) AS moved (partition, expected, following, last_time)
WHERE kept.consumer = $1 AND kept.topic = $2 AND kept.partition = moved.partition
  AND kept.next_offset = moved.expected
RETURNING kept.partition, to_regclass('runs')::oid AS tables;

-- name: identify_tables
SELECT to_regclass('runs')::oid;

-- name: save_runs
INSERT INTO runs SELECT * FROM json_populate_recordset(NULL::runs, $1::text::json)
ON CONFLICT (run_id) DO UPDATE SET
    name = excluded.name, tag = excluded.tag, group_name = excluded.group_name,
    parent_run_id = excluded.parent_run_id, original_run_id = excluded.original_run_id,
    dag_hash = excluded.dag_hash, use_cached = excluded.use_cached, run_config = excluded.run_config,
    state = excluded.state, message = excluded.message, attempt = excluded.attempt, created = excluded.created,
    started = excluded.started, ended = excluded.ended, updated = excluded.updated, points = excluded.points,
    note = excluded.note, environment = excluded.environment, deleted = excluded.deleted,
    next_offset = excluded.next_offset, experiment_id = excluded.experiment_id,
    lifecycle_stage = excluded.lifecycle_stage, heartbeats = excluded.heartbeats;

-- name: save_producers
INSERT INTO producers SELECT * FROM json_populate_recordset(NULL::producers, $1::text::json)
ON CONFLICT (run_id, producer) DO UPDATE SET
    next_seq = excluded.next_seq, missing = excluded.missing, refused = excluded.refused,
    expected = excluded.expected, expected_points = excluded.expected_points, dropped = excluded.dropped,
    author = excluded.author;

-- name: save_steps
INSERT INTO steps SELECT * FROM json_populate_recordset(NULL::steps, $1::text::json)
ON CONFLICT (run_id, step_name) DO UPDATE SET
    name = excluded.name, step_type = excluded.step_type, state = excluded.state, message = excluded.message,
    mock = excluded.mock;

-- name: save_attempts
INSERT INTO attempts SELECT * FROM json_populate_recordset(NULL::attempts, $1::text::json)
ON CONFLICT (run_id, step_name, attempt) DO UPDATE SET
    state = excluded.state, message = excluded.message, started = excluded.started, ended = excluded.ended;

-- name: save_first_params
-- Parameters that never change: the first value of a name in the log counts.
INSERT INTO params SELECT * FROM json_populate_recordset(NULL::params, $1::text::json) ON CONFLICT DO NOTHING;

-- name: save_params
INSERT INTO params SELECT * FROM json_populate_recordset(NULL::params, $1::text::json)
ON CONFLICT (run_id, step_name, attempt, name) DO UPDATE SET value = excluded.value, log_offset = excluded.log_offset;

-- name: rank_params
-- Decide which rows of these names of runs ($1, $2) count: schemas/params.py has the rule. The name of the step decides
-- between rows of one record, or of a release that did not store offsets.
UPDATE params AS p SET superseded = ranked.place > 1
FROM (
    SELECT run_id, step_name, attempt, name, row_number() OVER (
        PARTITION BY run_id, name ORDER BY attempt DESC, log_offset DESC NULLS LAST, step_name DESC) AS place
    FROM params JOIN (SELECT DISTINCT * FROM unnest($1::text[], $2::text[])) AS touched (run_id, name) USING (run_id, name)
) AS ranked
WHERE p.run_id = ranked.run_id AND p.name = ranked.name AND p.step_name = ranked.step_name
  AND p.attempt = ranked.attempt AND p.superseded <> (ranked.place > 1);

-- name: save_tags
INSERT INTO tags SELECT * FROM json_populate_recordset(NULL::tags, $1::text::json)
ON CONFLICT (run_id, name) DO UPDATE SET value = excluded.value;

-- name: save_run_labels
INSERT INTO run_labels SELECT * FROM json_populate_recordset(NULL::run_labels, $1::text::json)
ON CONFLICT (run_id, name) DO UPDATE SET value = excluded.value;

-- name: save_artifacts
INSERT INTO artifacts SELECT * FROM json_populate_recordset(NULL::artifacts, $1::text::json)
ON CONFLICT (run_id, step_name, name, attempt, stage) DO UPDATE SET
    uri = excluded.uri, size = excluded.size, sha256 = excluded.sha256, media_type = excluded.media_type,
    time = excluded.time;

-- name: save_code_identities
INSERT INTO code_identities SELECT * FROM json_populate_recordset(NULL::code_identities, $1::text::json)
ON CONFLICT (run_id, step_name, attempt, code_identifier) DO UPDATE SET
    code_identifier_type = excluded.code_identifier_type,
    code_identifier_dependable = excluded.code_identifier_dependable,
    code_identifier_url = excluded.code_identifier_url,
    code_identifier_message = excluded.code_identifier_message,
    diff_sha256 = excluded.diff_sha256;

-- name: save_metric_definitions
INSERT INTO metric_definitions SELECT * FROM json_populate_recordset(NULL::metric_definitions, $1::text::json)
ON CONFLICT (run_id, name) DO UPDATE SET
    goal = excluded.goal, unit = excluded.unit, panel = excluded.panel, x = excluded.x, alarm = excluded.alarm,
    description = excluded.description, hidden = excluded.hidden, summary = excluded.summary, time = excluded.time;

-- name: save_series
INSERT INTO series SELECT * FROM json_populate_recordset(NULL::series, $1::text::json)
ON CONFLICT (series_id) DO UPDATE SET
    integer = excluded.integer, points = excluded.points, non_finite = excluded.non_finite,
    last_step = excluded.last_step, last_time = excluded.last_time, last_value = excluded.last_value,
    min_value = excluded.min_value, max_value = excluded.max_value, open_index = excluded.open_index;

-- name: update_series
UPDATE series SET
    integer = now.integer, points = now.points, non_finite = now.non_finite,
    last_step = now.last_step, last_time = now.last_time, last_value = now.last_value,
    min_value = now.min_value, max_value = now.max_value, open_index = now.open_index
FROM unnest($1::uuid[], $2::boolean[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::float8[],
            $8::float8[], $9::float8[], $10::bigint[])
     AS now (series_id, integer, points, non_finite, last_step, last_time, last_value, min_value, max_value, open_index)
WHERE series.series_id = now.series_id;

-- name: add_observations
INSERT INTO observations SELECT * FROM json_populate_recordset(NULL::observations, $1::text::json);

-- name: add_console_lines
INSERT INTO console_lines SELECT * FROM json_populate_recordset(NULL::console_lines, $1::text::json);

-- name: reopen_chunks
-- Delete the small rows of open points; the same transaction writes them again, in larger rows.
DELETE FROM chunks USING unnest($1::uuid[], $2::bigint[], $3::int[]) AS reopened (series_id, first_index, month)
WHERE chunks.series_id = reopened.series_id AND chunks.first_index >= reopened.first_index
  AND chunks.month = reopened.month;

-- name: allow_long_edit
-- Until the end of the transaction.
SET LOCAL statement_timeout = '1d';

-- name: save_edit
-- Any number of times: a set of edits is enough to tell what a tracker may still show.
INSERT INTO edits (run_id, what, name, new_name) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: delete_series
-- With its points and observations: what comes later under the name is a new series.
WITH gone AS (DELETE FROM series WHERE run_id = $1 AND name = $2 RETURNING series_id, month),
     seen AS (DELETE FROM observations WHERE run_id = $1 AND name = $2),
     groups AS (DELETE FROM chunk_groups USING gone WHERE chunk_groups.series_id = gone.series_id)
DELETE FROM chunks USING gone WHERE chunks.series_id = gone.series_id AND chunks.month = gone.month;

-- name: delete_param
DELETE FROM params WHERE run_id = $1 AND name = $2;

-- name: delete_tag
DELETE FROM tags WHERE run_id = $1 AND name = $2;

-- name: delete_label
DELETE FROM run_labels WHERE run_id = $1 AND name = $2;

-- name: delete_artifact
DELETE FROM artifacts WHERE run_id = $1 AND name = $2;

-- name: series_to_rename
-- All series of a name except those whose new name is taken, by points or observations of the same step, attempt and
-- labels.
SELECT step_name, attempt, labels FROM (
    SELECT step_name, attempt, labels FROM series WHERE run_id = $1 AND name = $2
    UNION SELECT step_name, attempt, labels FROM observations WHERE run_id = $1 AND name = $2
) AS found
EXCEPT (
    SELECT step_name, attempt, labels FROM series WHERE run_id = $1 AND name = $3
    UNION SELECT step_name, attempt, labels FROM observations WHERE run_id = $1 AND name = $3
);

-- name: rename_series
-- The id follows the name, so that points that come later under the new name join the series.
WITH renamed AS (
    UPDATE series AS old SET series_id = wanted.new_id, name = $3
    FROM unnest($1::uuid[], $2::uuid[]) AS wanted (old_id, new_id) WHERE old.series_id = wanted.old_id
    RETURNING wanted.old_id, wanted.new_id, old.month
), groups AS (
    UPDATE chunk_groups SET series_id = renamed.new_id FROM renamed WHERE chunk_groups.series_id = renamed.old_id
)
UPDATE chunks SET series_id = renamed.new_id FROM renamed
WHERE chunks.series_id = renamed.old_id AND chunks.month = renamed.month;

-- name: rename_observations
UPDATE observations SET name = $3
FROM unnest($4::text[], $5::int[], $6::jsonb[]) AS wanted (step_name, attempt, labels)
WHERE run_id = $1 AND name = $2 AND observations.step_name = wanted.step_name
  AND observations.attempt = wanted.attempt AND observations.labels = wanted.labels;

-- name: rename_param
-- If the run has a parameter of the new name, in any step and attempt, both stay unchanged: a run shows one value per
-- name.
UPDATE params SET name = $3
WHERE run_id = $1 AND name = $2
  AND NOT EXISTS (SELECT FROM params AS taken WHERE taken.run_id = $1 AND taken.name = $3);

-- name: rename_tag
UPDATE tags AS old SET name = $3
WHERE old.run_id = $1 AND old.name = $2
  AND NOT EXISTS (SELECT FROM tags AS taken WHERE taken.run_id = old.run_id AND taken.name = $3);

-- Reads of the worker: rows of earlier batches.

-- name: load_runs
SELECT * FROM runs WHERE run_id = ANY ($1::text[]);

-- name: load_producers
SELECT * FROM producers WHERE run_id = ANY ($1::text[]);

-- name: load_steps
SELECT * FROM steps WHERE run_id = ANY ($1::text[]);

-- name: load_attempts
SELECT * FROM attempts WHERE run_id = ANY ($1::text[]);

-- name: load_series
SELECT s.*, EXISTS (SELECT FROM retention_dropped d WHERE d.month = s.month) AS is_dropped
FROM series s WHERE s.series_id = ANY ($1::uuid[]);

-- name: load_open_chunks
-- Points of these series that are not yet in a full chunk, in order.
SELECT c.series_id, c.first_index, c.points, c.min_step, c.max_step, c.min_time, c.steps, c.times, c.time_deltas,
       c.point_values
FROM chunks c JOIN series s ON s.series_id = c.series_id AND s.month = c.month
WHERE s.series_id = ANY ($1::uuid[]) AND c.first_index >= s.open_index
ORDER BY c.series_id, c.first_index;

-- Reads for people.

-- name: list_runs
-- These runs, in this order.
SELECT r.run_id, r.name, r.tag, r.group_name, r.message, r.created, r.started, r.ended, r.updated, r.attempt, r.points,
       r.lifecycle_stage, coalesce(x.experiment_id, r.experiment_id) AS experiment_id,
       coalesce(x.experiment, r.tag) AS experiment,
       CASE WHEN r.state = 'running' AND r.heartbeats AND r.updated < (extract(epoch FROM now())::float8 - $2) * 1e6
            THEN 'lost' ELSE r.state END AS state,
       (SELECT jsonb_object_agg(p.name, p.value) FROM params p WHERE p.run_id = r.run_id AND NOT p.superseded) AS params,
       (SELECT jsonb_object_agg(t.name, t.value) FROM tags t WHERE t.run_id = r.run_id) AS tags,
       (SELECT (extract(epoch FROM d.dropped) * 1e6)::bigint FROM retention_dropped d
        WHERE d.month = r.month AND r.points > 0) AS points_dropped
FROM unnest($1::text[]) WITH ORDINALITY AS wanted (run_id, place) JOIN runs r USING (run_id)
LEFT JOIN run_experiments x USING (run_id)
ORDER BY wanted.place;

-- name: get_run_documents
-- These runs, in this order, without those that are deleted for good. $2: as in get_run.
SELECT r.run_id, r.name, r.tag, r.group_name AS "group", r.message, r.parent_run_id, r.created, r.started, r.ended,
       r.updated, r.attempt, :stage AS lifecycle_stage, x.experiment_id, x.experiment,
       CASE WHEN r.state = 'running' AND r.heartbeats AND r.updated < (extract(epoch FROM now())::float8 - $2) * 1e6
            THEN 'lost' ELSE r.state END AS state,
       (SELECT jsonb_object_agg(p.name, p.value) FROM params p WHERE p.run_id = r.run_id AND NOT p.superseded) AS params,
       (SELECT jsonb_object_agg(t.name, t.value) FROM tags t WHERE t.run_id = r.run_id) AS tags,
       (SELECT jsonb_object_agg(l.name, l.value) FROM run_labels l WHERE l.run_id = r.run_id) AS labels
FROM unnest($1::text[]) WITH ORDINALITY AS wanted (run_id, place) JOIN runs r USING (run_id)
JOIN run_experiments x USING (run_id)
ORDER BY wanted.place;

-- name: get_newest_points
-- Of each series of these runs, those of the system too; first attempt first.
SELECT run_id, step_name, name, labels, integer, last_step, last_time, last_value
FROM series WHERE run_id = ANY ($1::text[]) AND NOT deleted ORDER BY attempt;

-- name: plan_search
-- Statements of a search differ in what is rare: a plan for other values may be a thousand times slower. To compile
-- one, or to start other processes for it, takes longer than to execute it.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true);

-- name: list_run_ids
SELECT run_id FROM runs WHERE NOT deleted AND ($1::text IS NULL OR group_name = $1) ORDER BY created, run_id;

-- name: last_values
-- At most $2 series per run, for lists.
SELECT s.* FROM unnest($1::text[]) AS wanted (run_id)
CROSS JOIN LATERAL (
    SELECT run_id, step_name, name, labels, attempt, last_step, last_time, last_value FROM series
    WHERE series.run_id = wanted.run_id AND NOT deleted AND NOT system
    ORDER BY step_name, name, labels::text, attempt LIMIT $2
) AS s;

-- name: get_run
-- `shown` is its state, or lost if it is running, its writers send heartbeats, and it was silent for $2 seconds. No row
-- holds that: the same log gives the same rows, and the next event of the run ends it. `points_dropped`: when retention
-- dropped its points, µs.
SELECT r.*, CASE WHEN r.state = 'running' AND r.heartbeats
                      AND r.updated < (extract(epoch FROM now())::float8 - $2) * 1e6
                 THEN 'lost' ELSE r.state END AS shown,
       x.experiment_id AS in_experiment, x.experiment,
       (SELECT (extract(epoch FROM d.dropped) * 1e6)::bigint FROM retention_dropped d
        WHERE d.month = r.month AND r.points > 0) AS points_dropped
FROM runs r JOIN run_experiments x USING (run_id) WHERE r.run_id = $1 AND NOT r.deleted;

-- name: get_steps
SELECT * FROM steps WHERE run_id = $1 ORDER BY position;

-- name: get_attempts
SELECT * FROM attempts WHERE run_id = $1 ORDER BY step_name, attempt;

-- name: get_params
-- All values; those that count are the ones that are not superseded. In the order in which they were set.
SELECT * FROM params WHERE run_id = $1 ORDER BY attempt, log_offset NULLS FIRST, step_name, name;

-- name: get_tags
SELECT name, value FROM tags WHERE run_id = $1 ORDER BY name;

-- name: get_run_labels
SELECT name, value FROM run_labels WHERE run_id = $1 ORDER BY name;

-- name: get_artifacts
SELECT * FROM artifacts WHERE run_id = $1 ORDER BY step_name, name, attempt, stage;

-- name: get_code_identities
SELECT * FROM code_identities WHERE run_id = $1 ORDER BY step_name, attempt, code_identifier;

-- name: get_metric_definitions
SELECT * FROM metric_definitions WHERE run_id = $1 ORDER BY name COLLATE "C";

-- name: get_producers
SELECT * FROM producers WHERE run_id = $1 ORDER BY producer;

-- name: get_received
SELECT run_id, producer, next_seq, missing
FROM producers JOIN unnest($1::text[], $2::text[]) AS wanted (run_id, producer) USING (run_id, producer);

-- name: get_observations
SELECT * FROM observations WHERE run_id = $1 ORDER BY log_offset, position;

-- name: get_series
SELECT * FROM series WHERE run_id = $1 AND NOT deleted ORDER BY step_name, name, labels::text, attempt;

-- name: find_series
-- Written series of a run, those of the system last: the first $9 after a position, and how many there are. Their
-- written names (schemas/names.py) are among $2, and contain each of the words $3. A position has the beginning and the
-- hash of the labels, which may be long. $10, if given, are the names, without step and labels, that such a written name
-- may have: they are found by the index, whatever else the run has.
WITH named AS (
    SELECT bool_and(system) AS system, step_name, name, labels::text AS labels_text,
           CASE WHEN step_name = 'main' THEN '' ELSE step_name || '/' END || name || CASE WHEN labels = '{}' THEN '' ELSE
               '{' || (SELECT string_agg(key || '=' || value, ',' ORDER BY key COLLATE "C") FROM jsonb_each_text(labels))
               || '}' END AS written
    FROM series WHERE run_id = $1 AND NOT deleted AND ($10::text[] IS NULL OR name = ANY ($10))
    GROUP BY step_name, name, labels
), wanted AS (
    SELECT system, step_name, name, labels_text, left(labels_text, 200) AS labels_begin,
           encode(sha256(convert_to(labels_text, 'UTF8')), 'hex') AS labels_hash FROM named
    WHERE ($2::text[] IS NULL OR written = ANY ($2))
      AND NOT EXISTS (SELECT FROM unnest($3::text[]) AS word WHERE strpos(lower(written), lower(word)) = 0)
)
SELECT *, (SELECT count(*) FROM wanted) AS total FROM wanted
WHERE $4::boolean IS NULL
   OR (system, step_name, name, labels_begin, labels_hash) > ($4, $5::text, $6::text, $7::text, $8::text)
ORDER BY system, step_name, name, labels_begin, labels_hash LIMIT $9;

-- name: get_found_series
-- Rows of these written series, in the order of find_series, of each the first attempt first.
SELECT s.*, labels::text AS labels_text FROM series s
WHERE run_id = $1 AND NOT deleted
  AND (step_name, name, labels::text) IN (SELECT * FROM unnest($2::text[], $3::text[], $4::text[]))
ORDER BY system, step_name, name, left(labels::text, 200), encode(sha256(convert_to(labels::text, 'UTF8')), 'hex'), attempt;

-- name: get_progress
SELECT attempt, deleted FROM runs WHERE run_id = $1;

-- name: get_last_steps
-- The largest step of each series over all attempts, values that are no points included; at most $2 series.
SELECT step_name, name, labels, max(step) AS step
FROM (SELECT step_name, name, labels, last_step AS step FROM series WHERE run_id = $1 AND NOT deleted AND NOT system
      UNION ALL
      SELECT step_name, name, labels, step FROM observations WHERE run_id = $1) AS seen
GROUP BY step_name, name, labels ORDER BY step_name, name, labels::text LIMIT $2;

-- name: get_points
-- Chunks of one series, in log order.
SELECT points, min_step, max_step, min_time, steps, times, time_deltas, point_values
FROM chunks WHERE series_id = $1 AND month = $2 ORDER BY first_index;

-- name: get_points_from
-- Chunks of one series that have points from number $3 on, in log order. A chunk has at most $4 points.
SELECT first_index, points, min_step, max_step, min_time, steps, times, time_deltas, point_values
FROM chunks WHERE series_id = $1 AND month = $2 AND first_index > $3 - $4::bigint AND first_index + points > $3
ORDER BY first_index;

-- name: get_last_points
-- Chunks of one series, the newest first.
SELECT points, min_step, max_step, min_time, steps, times, time_deltas, point_values
FROM chunks WHERE series_id = $1 AND month = $2 ORDER BY first_index DESC;

-- name: ping
-- Needs the tables, and neither reads many rows nor waits for a lock that a change of data holds.
SELECT EXISTS (SELECT FROM consumer_offsets);
