-- Partitions of points, one per month: created when points arrive, dropped by `gateway retention`. The server composes
-- statements that name a partition, and quotes the name.

-- name: look_for_months
-- For each of these months: whether it has a partition, and whether its points were dropped permanently.
SELECT m.month, to_regclass('chunks_' || m.month) IS NOT NULL AS there, d.month IS NOT NULL AS dropped
FROM unnest($1::int[]) AS m (month) LEFT JOIN retention_dropped d ON d.month = m.month;

-- name: lock_partitions
-- One worker at a time creates partitions; readers, and writers of the others, continue.
LOCK TABLE ONLY chunks IN SHARE UPDATE EXCLUSIVE MODE;

-- name: partition_plan
-- Statements, in order, that create the partitions of these months unless another worker has created them meanwhile.
-- CREATE ... PARTITION OF would wait for every reader; attaching a separately created table waits for none. No query
-- compares arrays of points, and sampling them (ANALYZE, by autovacuum) took half a core for many seconds while more
-- arrived.
SELECT made.statement FROM unnest($1::int[]) AS m (month)
CROSS JOIN LATERAL unnest(ARRAY[
    format('CREATE TABLE %I (LIKE chunks INCLUDING ALL)', 'chunks_' || m.month),
    format('ALTER TABLE %I ALTER COLUMN steps SET STATISTICS 0, ALTER COLUMN times SET STATISTICS 0, '
           'ALTER COLUMN point_values SET STATISTICS 0, ALTER COLUMN time_deltas SET STATISTICS 0', 'chunks_' || m.month),
    format('ALTER TABLE chunks ATTACH PARTITION %I FOR VALUES IN (%s)', 'chunks_' || m.month, m.month)
]) WITH ORDINALITY AS made (statement, place)
WHERE to_regclass('chunks_' || m.month) IS NULL
ORDER BY m.month, made.place;

-- name: count_late_points
UPDATE retention_dropped AS d SET late_points = d.late_points + late.points
FROM unnest($1::int[], $2::bigint[]) AS late (month, points) WHERE d.month = late.month;

-- name: hold_points
-- Taken before the snapshot, so that no partition is dropped while it is read.
LOCK TABLE ONLY chunks IN ACCESS SHARE MODE;

-- name: list_months
-- All months with runs, points or a drop, the newest first; only month $1 unless it is null. A run with an event within
-- $2 seconds counts as running. `bytes` are those of its partition, indexes included, or those that were dropped.
WITH partitions AS (
    SELECT substring(c.relname FROM '\d+$')::int AS month, pg_total_relation_size(c.oid) AS bytes
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'chunks'::regclass
),
written AS (
    SELECT r.month, count(*) AS runs, sum(r.points)::bigint AS points,
           count(*) FILTER (WHERE r.state = 'running'
                            AND r.updated >= (extract(epoch FROM now())::float8 - $2) * 1e6) AS running
    FROM runs r GROUP BY r.month
)
SELECT month, p.month IS NOT NULL AS kept, d.dropped, coalesce(d.late_points, 0) AS late_points,
       coalesce(w.running, 0) AS running, coalesce(d.runs, w.runs, 0) AS runs,
       coalesce(d.points, w.points, 0)::bigint AS points, coalesce(d.bytes, p.bytes, 0) AS bytes
FROM written w FULL JOIN partitions p USING (month) FULL JOIN retention_dropped d USING (month)
WHERE $1::int IS NULL OR month = $1
ORDER BY month DESC;

-- name: try_lease_until_end
-- The same lease as that of a rebuild, until the end of the transaction.
SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0));

-- name: remember_drop
INSERT INTO retention_dropped (month, dropped, runs, points, bytes) VALUES ($1, now(), $2, $3, $4);

-- name: drop_plan
-- The statement that drops the partition of month $1.
SELECT format('DROP TABLE %I', c.relname)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'chunks'::regclass AND c.relname = 'chunks_' || $1::int;

-- name: drop_groups
DELETE FROM chunk_groups WHERE month = $1;

-- name: copy_dropped
-- Months that were dropped permanently are left out of the new tables, too.
INSERT INTO gateway_rebuild.retention_dropped SELECT * FROM retention_dropped ON CONFLICT (month) DO NOTHING;

-- name: drop_months_plan
-- Partitions of the new tables for months that were dropped while the rebuild was interrupted.
SELECT format('DROP TABLE gateway_rebuild.%I', c.relname)
FROM gateway_rebuild.retention_dropped d JOIN pg_class c ON c.relname = 'chunks_' || d.month
WHERE c.relnamespace = 'gateway_rebuild'::regnamespace AND c.relkind = 'r';

-- name: drop_rebuilt_groups
-- The same for summaries of groups of chunks.
DELETE FROM gateway_rebuild.chunk_groups AS g USING gateway_rebuild.retention_dropped AS d WHERE d.month = g.month;
