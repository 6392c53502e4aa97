-- Runs in the trash, and the experiment that each run is in
-- depends: 20261201_01_registry

-- migrate: apply

ALTER TABLE runs ADD COLUMN experiment_id text NOT NULL DEFAULT ''; -- '': the experiment that its tag names
ALTER TABLE runs ADD COLUMN lifecycle_stage text NOT NULL DEFAULT 'active'; -- or deleted: it can be restored
CREATE INDEX runs_by_experiment ON runs (experiment_id, created DESC) WHERE experiment_id <> '';
CREATE INDEX runs_by_tag ON runs ((left(tag, 200) COLLATE "C")) WHERE tag <> '';

CREATE OR REPLACE VIEW existing_runs AS SELECT * FROM runs WHERE NOT deleted;

-- The experiment of each run: the one that its id names, or else the one that has its tag as a name, or had it. A tag
-- that no experiment has as a name still names one.
CREATE VIEW run_experiments AS
SELECT r.run_id, coalesce(e.experiment_id, nullif(r.experiment_id, ''), '') AS experiment_id,
       coalesce(e.name, r.tag) AS experiment
FROM existing_runs r
LEFT JOIN experiment_names n ON r.experiment_id = '' AND r.tag <> '' AND n.name = r.tag
LEFT JOIN experiments e ON e.experiment_id = coalesce(nullif(r.experiment_id, ''), n.experiment_id);

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
           AS points_dropped,
       x.experiment_id, x.experiment, r.lifecycle_stage
FROM existing_runs r JOIN run_experiments x USING (run_id);

-- migrate: rollback
