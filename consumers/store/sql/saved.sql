-- Views, rules of alerts and definitions of metrics, for the query API.

-- name: list_saved
-- Newest versions of a collection: first $3 (active, deleted or all), of type $2 if it is given, whose names contain
-- each of the words $4; after the place ($5, $6). With their bodies if $7.
SELECT s.collection, s.item_id, s.version AS newest_version, s.created, s.updated, s.deleted, v.version, v.name, v.type,
       v.description, v.enabled, v.author, v.time, CASE WHEN $7 THEN v.body END AS body
FROM saved_items s JOIN saved_versions v USING (collection, item_id, version)
WHERE s.collection = $1 AND ($2::text IS NULL OR s.type = $2)
  AND ($3 = 'all' OR s.deleted = ($3 = 'deleted'))
  AND NOT EXISTS (SELECT FROM unnest($4::text[]) AS word WHERE strpos(lower(s.name), lower(word)) = 0)
  AND ($5::bigint IS NULL OR (s.created, s.item_id) < ($5, $6::text))
ORDER BY s.created DESC, s.item_id DESC LIMIT $8;

-- name: get_saved
-- One version, the newest if $3 is null.
SELECT s.collection, s.item_id, s.version AS newest_version, s.created, s.updated, s.deleted, v.version, v.name, v.type,
       v.description, v.enabled, v.author, v.time, v.body
FROM saved_items s JOIN saved_versions v ON v.collection = s.collection AND v.item_id = s.item_id
    AND v.version = coalesce($3, s.version)
WHERE s.collection = $1 AND s.item_id = $2;

-- name: list_saved_versions
-- Of one item, the newest first, below version $3 if it is given; without bodies.
SELECT version, name, description, enabled, author, time FROM saved_versions
WHERE collection = $1 AND item_id = $2 AND ($3::int IS NULL OR version < $3) ORDER BY version DESC LIMIT $4;

-- name: page_metric_definitions
-- Of one run, by name, after the name $2 if it is given.
SELECT name, goal, unit, panel, x, alarm, description, hidden, summary, time FROM metric_definitions
WHERE run_id = $1 AND ($2::text IS NULL OR name COLLATE "C" > $2) ORDER BY name COLLATE "C" LIMIT $3;

-- name: run_is_known
SELECT EXISTS (SELECT FROM runs WHERE run_id = $1 AND NOT deleted);

-- name: goals_of_runs
-- At most $2 definitions of each run, by name: which of them counts for a series depends on all.
SELECT d.* FROM unnest($1::text[]) AS wanted (run_id)
CROSS JOIN LATERAL (
    SELECT run_id, name, goal FROM metric_definitions WHERE metric_definitions.run_id = wanted.run_id
    ORDER BY name LIMIT $2
) AS d;

-- name: lowest_and_highest
-- Finite values of the series of runs $1 over all attempts, whose written names, or these without labels, are LIKE one of
-- the patterns $2 (a JSON array for each run); at most $3 of each run.
SELECT s.* FROM unnest($1::text[], $2::text[]) AS wanted (run_id, patterns)
CROSS JOIN LATERAL (
    SELECT run_id, step_name, name, labels, min(min_value) AS lowest, max(max_value) AS highest FROM (
        SELECT *, CASE WHEN step_name = 'main' THEN '' ELSE step_name || '/' END || name AS plain,
               CASE WHEN labels = '{}' THEN '' ELSE '{' || (
                   SELECT string_agg(key || '=' || value, ',' ORDER BY key COLLATE "C") FROM jsonb_each_text(labels)
               ) || '}' END AS behind
        FROM series WHERE series.run_id = wanted.run_id AND NOT deleted AND NOT system
    ) AS named
    WHERE EXISTS (SELECT FROM jsonb_array_elements_text(wanted.patterns::jsonb) AS pattern
                  WHERE plain LIKE pattern OR (behind <> '' AND plain || behind LIKE pattern))
    GROUP BY run_id, step_name, name, labels ORDER BY step_name, name, labels::text LIMIT $3
) AS s;

-- name: common_metric_definitions
-- The definitions of several runs ($1, or those of the experiment $2): equal ones once. Of $4 names after $3, of each
-- name at most $5, the most common first. $6: with the runs that have them.
WITH wanted AS (
    SELECT DISTINCT unnest($1::text[]) AS run_id
    UNION ALL SELECT run_id FROM run_experiments WHERE experiment_id = $2
), mine AS (
    SELECT d.* FROM metric_definitions d JOIN wanted USING (run_id) JOIN runs r USING (run_id)
    WHERE NOT r.deleted AND ($3::text IS NULL OR d.name COLLATE "C" > $3)
), names AS (
    SELECT DISTINCT name COLLATE "C" AS name FROM mine ORDER BY 1 LIMIT $4
), counted AS (
    SELECT name COLLATE "C" AS name, goal, unit, panel, x, alarm, description, hidden, summary, max(time) AS time,
           count(*) AS runs, CASE WHEN $6 THEN array_agg(run_id ORDER BY run_id) END AS run_ids,
           count(*) OVER (PARTITION BY name COLLATE "C") AS variants,
           row_number() OVER (PARTITION BY name COLLATE "C" ORDER BY count(*) DESC, max(time) DESC, goal, unit, panel,
                              x, alarm, description, hidden, summary) AS place
    FROM mine WHERE name COLLATE "C" IN (SELECT name FROM names)
    GROUP BY name COLLATE "C", goal, unit, panel, x, alarm, description, hidden, summary
)
SELECT * FROM counted WHERE place <= $5 ORDER BY name, place;
