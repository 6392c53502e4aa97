-- Experiments, registered models and decisions.

-- name: load_experiments
SELECT * FROM experiments WHERE experiment_id = ANY ($1::text[]) OR name = ANY ($2::text[]);

-- name: load_models
SELECT * FROM models WHERE name = ANY ($1::text[]);

-- name: load_model_versions
-- Those of a model with a number or in a stage; some of them twice.
SELECT v.* FROM unnest($1::text[], $2::int[]) AS asked (name, version)
JOIN models m USING (name) JOIN model_versions v USING (model_id, version)
UNION ALL
SELECT v.* FROM unnest($3::text[], $4::text[]) AS asked (name, stage)
JOIN models m USING (name) JOIN model_versions v USING (model_id, stage);

-- name: load_model_aliases
SELECT a.* FROM model_aliases a JOIN models m USING (model_id) WHERE m.name = ANY ($1::text[]);

-- name: load_decided
SELECT collection, producer, seq FROM decisions
JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS asked (collection, producer, seq) USING (collection, producer, seq);

-- name: save_experiments
INSERT INTO experiments SELECT * FROM json_populate_recordset(NULL::experiments, $1::text::json)
ON CONFLICT (experiment_id) DO UPDATE SET
    name = excluded.name, description = excluded.description, artifact_location = excluded.artifact_location,
    tags = excluded.tags, updated = excluded.updated, deleted = excluded.deleted;

-- name: save_experiment_names
INSERT INTO experiment_names SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (name) DO UPDATE SET experiment_id = excluded.experiment_id;

-- name: save_models
INSERT INTO models SELECT * FROM json_populate_recordset(NULL::models, $1::text::json)
ON CONFLICT (model_id) DO UPDATE SET
    name = excluded.name, description = excluded.description, tags = excluded.tags, updated = excluded.updated,
    next_version = excluded.next_version;

-- name: save_model_versions
INSERT INTO model_versions SELECT * FROM json_populate_recordset(NULL::model_versions, $1::text::json)
ON CONFLICT (model_id, version) DO UPDATE SET
    description = excluded.description, tags = excluded.tags, updated = excluded.updated, stage = excluded.stage;

-- name: save_model_aliases
INSERT INTO model_aliases SELECT * FROM json_populate_recordset(NULL::model_aliases, $1::text::json)
ON CONFLICT (model_id, alias) DO UPDATE SET version = excluded.version;

-- name: load_logged_models
SELECT * FROM logged_models WHERE model_id = ANY ($1::text[]);

-- name: save_logged_models
INSERT INTO logged_models SELECT * FROM json_populate_recordset(NULL::logged_models, $1::text::json)
ON CONFLICT (model_id) DO UPDATE SET
    status = excluded.status, params = excluded.params, tags = excluded.tags, updated = excluded.updated,
    deleted = excluded.deleted;

-- name: save_model_points
-- In the order of the log, so that the first of equal ones is kept.
INSERT INTO logged_model_points SELECT * FROM json_populate_recordset(NULL::logged_model_points, $1::text::json)
ON CONFLICT DO NOTHING;

-- name: save_model_artifacts
INSERT INTO logged_model_artifacts SELECT * FROM json_populate_recordset(NULL::logged_model_artifacts, $1::text::json)
ON CONFLICT (model_id, path) DO UPDATE SET
    uri = excluded.uri, size = excluded.size, sha256 = excluded.sha256, media_type = excluded.media_type,
    time = excluded.time;

-- name: load_saved_items
SELECT s.* FROM saved_items s JOIN unnest($1::text[], $2::text[]) AS asked (collection, item_id)
USING (collection, item_id);

-- name: save_items
INSERT INTO saved_items SELECT * FROM json_populate_recordset(NULL::saved_items, $1::text::json)
ON CONFLICT (collection, item_id) DO UPDATE SET
    version = excluded.version, name = excluded.name, type = excluded.type, updated = excluded.updated,
    deleted = excluded.deleted;

-- name: save_item_versions
INSERT INTO saved_versions SELECT * FROM json_populate_recordset(NULL::saved_versions, $1::text::json);

-- name: save_decisions
INSERT INTO decisions SELECT * FROM json_populate_recordset(NULL::decisions, $1::text::json);

-- name: drop_models
WITH gone AS (DELETE FROM models WHERE model_id = ANY ($1::bigint[]) RETURNING model_id),
     versions AS (DELETE FROM model_versions WHERE model_id = ANY ($1::bigint[]))
DELETE FROM model_aliases WHERE model_id = ANY ($1::bigint[]);

-- name: drop_model_versions
DELETE FROM model_versions USING unnest($1::bigint[], $2::int[]) AS gone (model_id, version)
WHERE model_versions.model_id = gone.model_id AND model_versions.version = gone.version;

-- name: drop_model_aliases
DELETE FROM model_aliases USING unnest($1::bigint[], $2::text[]) AS gone (model_id, alias)
WHERE model_aliases.model_id = gone.model_id AND model_aliases.alias = gone.alias;

-- name: drop_model_artifacts
DELETE FROM logged_model_artifacts f USING unnest($1::text[], $2::text[]) AS gone (model_id, path)
WHERE f.model_id = gone.model_id AND (gone.path IN ('', f.path) OR starts_with(f.path, gone.path || '/'));

-- name: count_registry
SELECT (SELECT count(*) FROM experiments) AS experiments, (SELECT count(*) FROM models) AS models,
       (SELECT count(*) FROM logged_models) AS logged_models;
