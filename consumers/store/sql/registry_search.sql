-- Lists of experiments, models and versions, assembled by registry/search.py as sql/search.sql says.

-- name: find_experiments
SELECT r.*, r.created AS place, r.experiment_id AS place_id,
       ARRAY(SELECT n.name FROM experiment_names n
             WHERE n.experiment_id = r.experiment_id AND n.name <> r.name ORDER BY n.name) AS former_names
FROM experiments r WHERE :condition AND :behind
ORDER BY :order LIMIT :limit OFFSET :offset;

-- name: find_models
SELECT r.*, r.model_id AS place, '' AS place_id,
       (SELECT count(*) FROM model_versions v WHERE v.model_id = r.model_id) AS versions,
       (SELECT coalesce(jsonb_object_agg(a.alias, a.version), '{}') FROM model_aliases a
        WHERE a.model_id = r.model_id) AS aliases
FROM models r WHERE :condition AND :behind
ORDER BY :order LIMIT :limit OFFSET :offset;

-- name: find_model_versions
SELECT r.*, m.name, r.model_id AS place, lpad(r.version::text, 10, '0') AS place_id,
       ARRAY(SELECT a.alias FROM model_aliases a
             WHERE a.model_id = r.model_id AND a.version = r.version ORDER BY a.alias) AS aliases
FROM model_versions r JOIN models m USING (model_id) WHERE :condition AND :behind
ORDER BY :order LIMIT :limit OFFSET :offset;

-- name: behind_in_experiments
(r.created, r.experiment_id) < (:place, :place_id)

-- name: behind_in_models
r.model_id < :place

-- name: behind_in_model_versions
(r.model_id, r.version) < (:place, :place_id::bigint)

-- name: has_alias
EXISTS (SELECT FROM model_aliases a WHERE a.model_id = r.model_id AND a.version = r.version AND :test)

-- name: latest_model_versions
-- The newest of each stage, chosen before their aliases are looked up: a model may have 100,000 versions. The stage that
-- the oldest version has is first, as in MLflow.
SELECT r.*, m.name,
       ARRAY(SELECT a.alias FROM model_aliases a
             WHERE a.model_id = r.model_id AND a.version = r.version ORDER BY a.alias) AS aliases
FROM models m CROSS JOIN LATERAL (
    SELECT DISTINCT ON (v.stage) v.*, min(v.version) OVER (PARTITION BY v.stage) AS oldest
    FROM model_versions v WHERE v.model_id = m.model_id ORDER BY v.stage, v.version DESC
) AS r
WHERE m.name = ANY ($1::text[]) ORDER BY m.name, r.oldest;

-- name: get_decisions
SELECT d.* FROM decisions d
JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS asked (collection, producer, seq) USING (collection, producer, seq);
