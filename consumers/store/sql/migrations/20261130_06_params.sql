-- Of a parameter that was set several times, one value counts: schemas/params.py has the rule
-- depends: 20261130_05_views

-- migrate: apply

-- NULL: folded by a release that did not write it down; such a value comes before all others of its attempt.
ALTER TABLE params ADD COLUMN log_offset bigint; -- of the record that set it last
-- Another row of the run with this name counts, and this one only shows in its attempt.
ALTER TABLE params ADD COLUMN superseded boolean NOT NULL DEFAULT false;

-- The other rows of a name are side by side.
ALTER TABLE params DROP CONSTRAINT params_pkey, ADD PRIMARY KEY (run_id, name, step_name, attempt);

UPDATE params SET superseded = true
WHERE EXISTS (SELECT FROM params AS later
              WHERE later.run_id = params.run_id AND later.name = params.name
                AND (later.attempt, later.step_name) > (params.attempt, params.step_name));

DROP INDEX params_later;
DROP INDEX params_by_number;
DROP INDEX params_by_text;
CREATE INDEX params_by_number ON params (name, (CASE WHEN jsonb_typeof(value -> 'value') = 'number' AND abs((value ->> 'value')::numeric) < 1e300
           THEN (value ->> 'value')::double precision END)) WHERE NOT superseded;
CREATE INDEX params_by_text ON params (name, (left(value ->> 'value', 200) COLLATE "C")) WHERE NOT superseded;

CREATE OR REPLACE VIEW runs_overview AS
SELECT r.run_id, r.name, r.tag, r.group_name,
       CASE WHEN r.state = 'running' AND r.updated < 1e6 * (extract(epoch FROM now())::double precision
                 - coalesce(nullif(current_setting('gateway.lost_after_s', true), ''), '90')::double precision)
            THEN 'lost' ELSE r.state END AS state,
       r.message, r.attempt, r.points,
       CASE WHEN r.started <= 253402300799999999 THEN to_timestamp(r.started / 1e6) END AS started,
       CASE WHEN r.ended <= 253402300799999999 THEN to_timestamp(r.ended / 1e6) END AS ended,
       CASE WHEN r.created <= 253402300799999999 THEN to_timestamp(r.created / 1e6) END AS created,
       CASE WHEN r.updated <= 253402300799999999 THEN to_timestamp(r.updated / 1e6) END AS updated,
       (SELECT jsonb_object_agg(t.name, t.value) FROM tags t WHERE t.run_id = r.run_id) AS tags,
       (SELECT jsonb_object_agg(p.name, p.value -> 'value') FROM params p
        WHERE p.run_id = r.run_id AND NOT p.superseded) AS params,
       (SELECT jsonb_object_agg(s.name, s.last_value::text ORDER BY s.attempt) FROM series s
        WHERE s.run_id = r.run_id AND s.step_name = 'main' AND s.labels = '{}' AND NOT s.deleted AND NOT s.system
       ) AS metrics,
       CASE WHEN r.points > 0 THEN (SELECT d.dropped FROM retention_dropped d WHERE d.month = r.month) END
           AS points_dropped
FROM existing_runs r;

-- migrate: rollback
