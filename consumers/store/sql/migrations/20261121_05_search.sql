-- Runs are found by metric, parameter, tag and state among many; a run that fell silent shows as lost
-- depends: 20261121_04_dead_letters

-- migrate: apply

-- Expressions are written out, here and in search.sql: a function of ours would tie an index to a schema.

-- The old ones held whole values: a run with a long one could not be stored.
DROP INDEX params_by_name;
DROP INDEX tags_by_name;
-- A parameter as a number, NULL when it is none or float8 cannot hold it; and its beginning as text, because an index
-- holds no more than 2,704 bytes; in the order of its bytes, so that it finds `like 'resnet%'` too.
CREATE INDEX params_by_number ON params (name, (CASE WHEN jsonb_typeof(value -> 'value') = 'number' AND abs((value ->> 'value')::numeric) < 1e300
           THEN (value ->> 'value')::double precision END));
CREATE INDEX params_by_text ON params (name, (left(value ->> 'value', 200) COLLATE "C"));
CREATE INDEX params_later ON params (run_id) WHERE attempt > 1;
CREATE INDEX tags_by_text ON tags (name, (left(value, 200) COLLATE "C"));
CREATE INDEX series_by_last ON series (name, last_value) WHERE NOT deleted AND NOT system;
CREATE INDEX series_later ON series (run_id) WHERE attempt > 1;
-- What is in one column depends on the name beside it: without these PostgreSQL expects a fifth of what it finds.
CREATE STATISTICS params_numbers (mcv) ON name, (CASE WHEN jsonb_typeof(value -> 'value') = 'number' AND abs((value ->> 'value')::numeric) < 1e300
           THEN (value ->> 'value')::double precision END) FROM params;
CREATE STATISTICS params_texts (mcv) ON name, (left(value ->> 'value', 200) COLLATE "C") FROM params;
CREATE STATISTICS tags_texts (mcv) ON name, (left(value, 200) COLLATE "C") FROM tags;
CREATE INDEX runs_by_state ON runs (state, created DESC) WHERE NOT deleted;

-- For people with a SQL tool. A run is lost after 90 s of silence, or what the database says:
-- ALTER DATABASE ... SET gateway.lost_after_s = '300'.
DROP VIEW runs_overview;
CREATE VIEW runs_overview AS
SELECT r.run_id, r.name, r.tag, r.group_name,
       CASE WHEN r.state = 'running' AND r.updated < 1e6 * (extract(epoch FROM now())::double precision
                 - coalesce(nullif(current_setting('gateway.lost_after_s', true), ''), '90')::double precision)
            THEN 'lost' ELSE r.state END AS state,
       r.message, r.attempt, r.points,
       to_timestamp(r.started / 1e6) AS started, to_timestamp(r.ended / 1e6) AS ended,
       to_timestamp(r.created / 1e6) AS created, to_timestamp(r.updated / 1e6) AS updated,
       (SELECT jsonb_object_agg(t.name, t.value) FROM tags t WHERE t.run_id = r.run_id) AS tags,
       (SELECT jsonb_object_agg(p.name, p.value -> 'value' ORDER BY p.attempt) FROM params p
        WHERE p.run_id = r.run_id) AS params,
       (SELECT jsonb_object_agg(s.name, s.last_value::text ORDER BY s.attempt) FROM series s
        WHERE s.run_id = r.run_id AND s.step_name = 'main' AND s.labels = '{}' AND NOT s.deleted AND NOT s.system
       ) AS metrics
FROM runs r
WHERE NOT r.deleted;

-- migrate: rollback
