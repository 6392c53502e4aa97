-- Points are in one partition a month, so that retention drops a table and deletes no row
-- depends: 20261121_06_plain_points

-- migrate: apply

-- Every point is moved once, within one transaction: 0.4 µs of processor time each, and twice the space meanwhile.
SET LOCAL statement_timeout = 0;

-- Not folded from the log, and so not touched by a rebuild, which leaves these points out too. Points of these months
-- that still come are counted, in the rows of their series and here, and not kept.
CREATE TABLE retention_dropped (
    month       int PRIMARY KEY,      -- YYYYMM
    dropped     timestamptz NOT NULL,
    runs        bigint NOT NULL,      -- what was dropped
    points      bigint NOT NULL,
    bytes       bigint NOT NULL,
    late_points bigint NOT NULL DEFAULT 0
);

-- YYYYMM, UTC, of the first event that was folded; 0 outside 2000 to 2099. See months.py.
ALTER TABLE runs ADD COLUMN month int NOT NULL DEFAULT 0;
ALTER TABLE series ADD COLUMN month int NOT NULL DEFAULT 0; -- of its run
UPDATE runs SET month = to_char(to_timestamp(created / 1000000) AT TIME ZONE 'UTC', 'YYYYMM')::int
WHERE created >= 946684800000000 AND created < 4102444800000000;
UPDATE series SET month = runs.month FROM runs WHERE runs.run_id = series.run_id AND runs.month <> 0;

ALTER TABLE chunks RENAME TO chunks_whole;
ALTER INDEX chunks_pkey RENAME TO chunks_whole_pkey;

-- Points in log order, in chunks of 1,000; the newest of a series are in smaller rows, one for each record of the log.
-- The materialiser makes the partition chunks_YYYYMM when the first point of a month comes.
CREATE TABLE chunks (
    series_id   uuid   NOT NULL,
    first_index bigint NOT NULL, -- of its first point, counted from 0 in log order
    month       int    NOT NULL, -- of the run: all points of a run are in one partition
    points      int    NOT NULL,
    min_step    bigint NOT NULL,
    max_step    bigint NOT NULL,
    min_time    bigint NOT NULL,
    max_time    bigint NOT NULL,
    first_value double precision NOT NULL,
    last_value  double precision NOT NULL,
    min_value   double precision, -- of finite values
    max_value   double precision,
    non_finite  int    NOT NULL,
    steps       bigint[],        -- NULL: they rise evenly from min_step to max_step
    times       bigint[],        -- µs; NULL: they are in time_deltas
    point_values double precision[] NOT NULL,
    time_deltas int[],           -- µs since min_time, where they lie within 35 minutes
    PRIMARY KEY (series_id, first_index, month)
) PARTITION BY LIST (month);
ALTER TABLE chunks
    ALTER COLUMN steps SET STORAGE EXTERNAL,
    ALTER COLUMN times SET STORAGE EXTERNAL,
    ALTER COLUMN point_values SET STORAGE EXTERNAL,
    ALTER COLUMN time_deltas SET STORAGE EXTERNAL;

DO $$
DECLARE
    one int;
BEGIN
    FOR one IN
        SELECT DISTINCT s.month FROM series s
        WHERE EXISTS (SELECT FROM chunks_whole c WHERE c.series_id = s.series_id) ORDER BY 1
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF chunks FOR VALUES IN (%s)', 'chunks_' || one, one);
    END LOOP;
END
$$;

-- Of the table and all partitions; retention.sql says why.
ALTER TABLE chunks
    ALTER COLUMN steps SET STATISTICS 0, ALTER COLUMN times SET STATISTICS 0,
    ALTER COLUMN point_values SET STATISTICS 0, ALTER COLUMN time_deltas SET STATISTICS 0;

INSERT INTO chunks
SELECT c.series_id, c.first_index, s.month, c.points, c.min_step, c.max_step, c.min_time, c.max_time, c.first_value,
       c.last_value, c.min_value, c.max_value, c.non_finite,
       CASE WHEN c.min_step < 0 OR c.max_step >= 9007199254740992 THEN c.steps
            WHEN c.steps <> ARRAY(SELECT c.min_step + i * ((c.max_step - c.min_step) / greatest(c.points - 1, 1))
                                  FROM generate_series(0, c.points - 1) AS i ORDER BY i)
            THEN c.steps END,
       CASE WHEN NOT short.are THEN c.times END,
       c.point_values,
       CASE WHEN short.are
            THEN ARRAY(SELECT (t.time - c.min_time)::int FROM unnest(c.times) WITH ORDINALITY AS t (time, place)
                       ORDER BY t.place) END
FROM chunks_whole c JOIN series s USING (series_id)
CROSS JOIN LATERAL (SELECT c.min_time >= 0 AND c.max_time::numeric - c.min_time < 2147483648 AS are) AS short;

CREATE OR REPLACE VIEW metric_points AS
SELECT s.run_id, s.step_name, s.attempt, s.name, s.labels,
       coalesce(p.step, c.min_step + (p.position - 1) * ((c.max_step - c.min_step) / greatest(c.points - 1, 1))) AS step,
       coalesce(p.time, c.min_time + p.delta) AS time,
       to_timestamp(coalesce(p.time, c.min_time + p.delta) / 1e6) AS at,
       p.value, c.first_index + p.position - 1 AS index
FROM series s
JOIN chunks c ON c.series_id = s.series_id AND c.month = s.month
CROSS JOIN LATERAL unnest(c.steps, c.times, c.point_values, c.time_deltas) WITH ORDINALITY
    AS p (step, time, value, delta, position)
WHERE NOT s.deleted;

-- New at its end: when the points of the run were dropped, NULL while they are there.
CREATE OR REPLACE VIEW runs_overview AS
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
       ) AS metrics,
       CASE WHEN r.points > 0 THEN (SELECT d.dropped FROM retention_dropped d WHERE d.month = r.month) END
           AS points_dropped
FROM runs r
WHERE NOT r.deleted;

DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT a.privilege_type, a.is_grantable,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
        WHERE c.oid = 'chunks_whole'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON chunks TO %s%s', granted.privilege_type, granted.grantee,
                       CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END
$$;

DROP TABLE chunks_whole;

-- migrate: rollback
