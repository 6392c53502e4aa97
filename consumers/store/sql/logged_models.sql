-- Logged models, assembled by registry/logged_models.py as sql/search.sql says.

-- name: find_logged_models
SELECT r.* FROM logged_models r WHERE NOT r.deleted AND :condition ORDER BY :order LIMIT :limit OFFSET :offset;

-- name: get_logged_model
SELECT * FROM logged_models WHERE model_id = $1;

-- name: model_points
SELECT * FROM logged_model_points WHERE model_id = ANY ($1::text[]) ORDER BY log_offset, number;

-- name: has_model_point
EXISTS (SELECT FROM logged_model_points p WHERE p.model_id = r.model_id AND :test)

-- name: last_model_value
(SELECT p.value FROM logged_model_points p WHERE p.model_id = r.model_id AND p.name = :name AND :test
 ORDER BY p.time DESC, p.step DESC, p.run_id LIMIT 1)

-- name: list_model_artifacts
-- Direct children of a folder, whose path $2 ends with a slash or is '', from after the child ($3, $4) on.
WITH children AS (
    SELECT $2 || (regexp_match(substr(path, char_length($2) + 1), '^/*[^/]*'))[1] AS child, f.*
    FROM logged_model_artifacts f WHERE model_id = $1 AND starts_with(path, $2)
), entries AS (
    SELECT child AS path, path <> child AS is_dir, count(*)::int AS files, max(time) AS time,
        least(sum(size), 9223372036854775807)::bigint AS size, max(sha256) AS sha256, max(media_type) AS media_type,
        max(uri) AS uri
    FROM children GROUP BY child, path <> child
)
SELECT *, '' AS step_name, 1 AS attempt FROM entries WHERE (path COLLATE "C", is_dir) > ($3 COLLATE "C", $4)
ORDER BY path COLLATE "C", is_dir LIMIT $5;

-- name: list_model_artifacts_below
-- Every file at or below a path, '' for all of the model, from after the path $3 on.
SELECT *, FALSE AS is_dir, 1 AS files, '' AS step_name, 1 AS attempt FROM logged_model_artifacts
WHERE model_id = $1 AND ($2 = '' OR path = $2 OR starts_with(path, rtrim($2, '/') || '/'))
  AND path COLLATE "C" > $3 COLLATE "C"
ORDER BY path COLLATE "C" LIMIT $4;
