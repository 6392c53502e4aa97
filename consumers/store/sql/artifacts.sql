-- Artifacts of a run, as people list and download them: the newest record of a path, whichever step wrote it. What a
-- step read (stage get) is not the run's own.

-- name: list_artifacts
-- Direct children of a folder, whose path $2 ends with a slash or is '', from after the child ($3, $4) on. Slashes at
-- the start of a component belong to it, so a path such as /etc/x is listed without an empty component.
WITH newest AS (
    SELECT DISTINCT ON (name) a.*,
        $2 || (regexp_match(substr(name, char_length($2) + 1), '^/*[^/]*'))[1] AS path
    FROM artifacts a
    WHERE run_id = $1 AND stage = 'put' AND starts_with(name, $2)
    ORDER BY name, time DESC, attempt DESC, step_name DESC
), children AS (
    SELECT path, name <> path AS is_dir, count(*)::int AS files, max(time) AS time,
        CASE WHEN count(size) > 0 THEN least(sum(size), 9223372036854775807)::bigint END AS size, max(sha256) AS sha256, max(media_type) AS media_type, max(uri) AS uri, max(step_name) AS step_name,
        max(attempt) AS attempt
    FROM newest GROUP BY path, name <> path
)
SELECT * FROM children WHERE (path COLLATE "C", is_dir) > ($3 COLLATE "C", $4)
ORDER BY path COLLATE "C", is_dir LIMIT $5;

-- name: list_artifacts_below
-- Every file at or below a path, '' for all of the run, from after the path $3 on.
WITH newest AS (
    SELECT DISTINCT ON (name) a.*, name AS path FROM artifacts a
    WHERE run_id = $1 AND stage = 'put' AND ($2 = '' OR name = $2 OR starts_with(name, rtrim($2, '/') || '/'))
    ORDER BY name, time DESC, attempt DESC, step_name DESC
)
SELECT *, FALSE AS is_dir, 1 AS files FROM newest WHERE path COLLATE "C" > $3 COLLATE "C"
ORDER BY path COLLATE "C" LIMIT $4;

-- name: get_artifact
SELECT *, name AS path, FALSE AS is_dir, 1 AS files FROM artifacts WHERE run_id = $1 AND stage = 'put' AND name = $2
ORDER BY time DESC, attempt DESC, step_name DESC LIMIT 1;
