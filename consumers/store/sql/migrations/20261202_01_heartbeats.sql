-- Runs whose writers send no heartbeats: they are never shown as lost
-- depends: 20261201_10_artifact_stages

-- migrate: apply

ALTER TABLE runs ADD COLUMN heartbeats boolean NOT NULL DEFAULT true;

CREATE OR REPLACE VIEW existing_runs AS SELECT * FROM runs WHERE NOT deleted;

CREATE OR REPLACE VIEW runs_overview AS
SELECT r.run_id, r.name, r.tag, r.group_name,
       CASE WHEN r.state = 'running' AND r.heartbeats AND r.updated < 1e6 * (extract(epoch FROM now())::double precision
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
