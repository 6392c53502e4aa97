-- What exists is defined once, for all views: the points of a deleted run showed in metric_points
-- depends: 20261121_11_deleted_series

-- migrate: apply

-- For people with a SQL tool: read views, not tables. A deleted run keeps its rows, which a rebuild compares.
CREATE VIEW existing_runs AS SELECT * FROM runs WHERE NOT deleted;

-- `at` is NULL for times that drivers cannot hold: those before the year 1 and after 9999. `time` has them all.
CREATE OR REPLACE VIEW metric_points AS
SELECT s.run_id, s.step_name, s.attempt, s.name, s.labels,
       coalesce(p.step, c.min_step + (p.position - 1) * ((c.max_step - c.min_step) / greatest(c.points - 1, 1))) AS step,
       coalesce(p.time, c.min_time + p.delta) AS time,
       CASE WHEN coalesce(p.time, c.min_time + p.delta) BETWEEN -62135596800000000 AND 253402300799999999
            THEN to_timestamp(coalesce(p.time, c.min_time + p.delta) / 1e6) END AS at,
       p.value, c.first_index + p.position - 1 AS index
FROM existing_runs r
JOIN series s ON s.run_id = r.run_id
JOIN chunks c ON c.series_id = s.series_id AND c.month = s.month
CROSS JOIN LATERAL unnest(c.steps, c.times, c.point_values, c.time_deltas) WITH ORDINALITY
    AS p (step, time, value, delta, position)
WHERE NOT s.deleted;

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
       (SELECT jsonb_object_agg(p.name, p.value -> 'value' ORDER BY p.attempt) FROM params p
        WHERE p.run_id = r.run_id) AS params,
       (SELECT jsonb_object_agg(s.name, s.last_value::text ORDER BY s.attempt) FROM series s
        WHERE s.run_id = r.run_id AND s.step_name = 'main' AND s.labels = '{}' AND NOT s.deleted AND NOT s.system
       ) AS metrics,
       CASE WHEN r.points > 0 THEN (SELECT d.dropped FROM retention_dropped d WHERE d.month = r.month) END
           AS points_dropped
FROM existing_runs r;

-- migrate: rollback
