-- Tables of the schema gateway_rebuild: folded from scratch, compared with the live ones, and exchanged for them. The
-- server composes statements that name objects of the catalogue, and quotes the names.

-- name: live_schema
SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('runs');

-- name: applied_migrations
SELECT migration_id FROM public._pogo_migration WHERE schema_name = $1;

-- name: begun_rebuild
-- The stored origin of the rebuild; no row if there is none.
SELECT coalesce(obj_description(oid, 'pg_namespace'), '') FROM pg_namespace WHERE nspname = 'gateway_rebuild';

-- name: begin_rebuild
-- The schema, with its origin as a comment.
SELECT unnest(ARRAY[
    'CREATE SCHEMA gateway_rebuild',
    format('COMMENT ON SCHEMA gateway_rebuild IS %L', $1::text),
    'DELETE FROM public._pogo_migration WHERE schema_name = ''gateway_rebuild'''
]);

-- name: drop_rebuild
DROP SCHEMA IF EXISTS gateway_rebuild CASCADE;

-- name: forget_rebuild
DELETE FROM public._pogo_migration WHERE schema_name = 'gateway_rebuild';

-- name: other_topics
-- Topics that this consumer has folded into the same tables.
SELECT DISTINCT topic FROM consumer_offsets WHERE consumer = $1 AND topic <> $2 AND next_offset > 0 ORDER BY topic;

-- name: hold_offsets
-- No process moves an offset until the end of the transaction; one that is in the middle of a batch ends it first.
LOCK TABLE consumer_offsets IN SHARE ROW EXCLUSIVE MODE;

-- name: rebuilt_points
-- Sum over all runs of a schema, to show points per second.
SELECT coalesce(sum(points), 0)::bigint FROM runs;

-- name: analyse_plan
SELECT format('ANALYZE gateway_rebuild.%I', relname) FROM pg_class
WHERE relnamespace = 'gateway_rebuild'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition;

-- name: exchange_locks
-- One statement that locks everything that exchange_plan changes; views first, because readers of a view lock it first.
WITH old AS (
    SELECT c.oid FROM pg_class c JOIN pg_class s USING (relname)
    WHERE c.relnamespace = $1::text::regnamespace AND s.relnamespace = 'gateway_rebuild'::regnamespace
      AND c.relkind IN ('r', 'p') AND s.relkind IN ('r', 'p') AND NOT s.relname LIKE ANY ($2::text[])
),
views AS (
    SELECT DISTINCT r.ev_class AS oid FROM pg_depend d
    JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM old)
)
SELECT 'LOCK TABLE ' || string_agg(oid::regclass::text, ', ' ORDER BY first, oid) || ' IN ACCESS EXCLUSIVE MODE'
FROM (SELECT 0 AS first, oid FROM views UNION ALL SELECT 1, oid FROM old) AS locked;

-- name: exchange_blockers
-- Holders of locks on live tables: process, program, start of its transaction.
SELECT DISTINCT a.pid, coalesce(nullif(a.application_name, ''), a.usename::text, 'unknown') AS program, a.xact_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
JOIN pg_class c ON c.oid = l.relation AND c.relnamespace = $1::text::regnamespace
WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND a.xact_start < now() - interval '1 second' AND a.pid <> pg_backend_pid()
ORDER BY a.xact_start;

-- name: exchange_plan
-- Statements, in order, that put the tables, functions and statistics of gateway_rebuild in place of those in schema
-- $1, with their owners and grants. Tables like $2 stay. Views stay too, also those of others, and read the new tables.
WITH new_tables AS (
    SELECT oid, relname, relowner FROM pg_class
    WHERE relnamespace = 'gateway_rebuild'::regnamespace AND relkind IN ('r', 'p')
      AND NOT (relname LIKE ANY ($2::text[]))
),
same_name AS (
    SELECT c.oid, c.relname, c.relnamespace, c.relowner, c.relacl, n.oid AS new_oid, n.relowner AS new_owner
    FROM pg_class c JOIN new_tables n USING (relname)
    WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p')
),
old_tables AS (
    SELECT oid, relname FROM same_name
    UNION
    SELECT c.oid, c.relname FROM same_name s CROSS JOIN LATERAL pg_partition_tree(s.oid) t
    JOIN pg_class c ON c.oid = t.relid
),
new_functions AS (
    SELECT oid, proname, pg_get_function_identity_arguments(oid) AS arguments FROM pg_proc
    WHERE pronamespace = 'gateway_rebuild'::regnamespace
),
old_functions AS (
    SELECT p.oid, p.proname, n.arguments FROM pg_proc p
    JOIN new_functions n ON n.proname = p.proname AND n.arguments = pg_get_function_identity_arguments(p.oid)
    WHERE p.pronamespace = $1::text::regnamespace
),
views AS (
    SELECT DISTINCT v.oid, v.relname, v.relnamespace, v.reloptions
    FROM pg_depend d
    JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
    WHERE v.relnamespace <> 'gateway_rebuild'::regnamespace
      AND ((d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM old_tables))
           OR (d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM old_functions)))
),
steps (step, statement) AS (
    SELECT 1, 'CREATE SCHEMA gateway_replaced'
    UNION ALL
    SELECT 2, format('ALTER TABLE %I.%I SET SCHEMA gateway_replaced', $1::text, relname) FROM old_tables
    UNION ALL
    SELECT 2, format('ALTER FUNCTION %I.%I(%s) SET SCHEMA gateway_replaced', $1::text, proname, arguments)
    FROM old_functions
    UNION ALL
    SELECT 3, format('ALTER TABLE gateway_rebuild.%I OWNER TO %I', relname, pg_get_userbyid(relowner))
    FROM same_name WHERE relowner <> new_owner
    UNION ALL
    SELECT 4, format('ALTER TABLE gateway_rebuild.%I SET SCHEMA %I', relname, $1::text) FROM new_tables
    UNION ALL
    SELECT 4, format('ALTER FUNCTION gateway_rebuild.%I(%s) SET SCHEMA %I', proname, arguments, $1::text)
    FROM new_functions
    UNION ALL
    SELECT 5, format('GRANT %s ON %I.%I TO %s%s', a.privilege_type, $1::text, s.relname,
                     CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                     CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM same_name s CROSS JOIN LATERAL aclexplode(s.relacl) a WHERE a.grantee <> s.relowner
    UNION ALL
    SELECT 6, format('CREATE OR REPLACE VIEW %I.%I%s AS %s', n.nspname, v.relname,
                     ' WITH (' || array_to_string(v.reloptions, ', ') || ')', pg_get_viewdef(v.oid))
    FROM views v JOIN pg_namespace n ON n.oid = v.relnamespace
    UNION ALL
    SELECT 7, 'DROP VIEW ' || string_agg(format('gateway_rebuild.%I', relname), ', ')
    FROM pg_class WHERE relnamespace = 'gateway_rebuild'::regnamespace AND relkind = 'v' HAVING count(*) > 0
    UNION ALL
    SELECT 8, 'DROP TABLE ' || string_agg(format('gateway_rebuild.%I', relname), ', ')
    FROM pg_class
    WHERE relnamespace = 'gateway_rebuild'::regnamespace AND relkind IN ('r', 'p') AND relname LIKE ANY ($2::text[])
    HAVING count(*) > 0
    UNION ALL
    SELECT 9, 'DROP TABLE ' || string_agg(format('gateway_replaced.%I', relname), ', ') FROM old_tables
    HAVING count(*) > 0
    UNION ALL
    -- They do not move with their table, but are dropped with it.
    SELECT 10, format('ALTER STATISTICS gateway_rebuild.%I SET SCHEMA %I', stxname, $1::text)
    FROM pg_statistic_ext
    WHERE stxnamespace = 'gateway_rebuild'::regnamespace AND stxrelid IN (SELECT oid FROM new_tables)
    UNION ALL
    SELECT 10, 'DROP FUNCTION ' || string_agg(format('gateway_replaced.%I(%s)', proname, arguments), ', ')
    FROM old_functions HAVING count(*) > 0
    UNION ALL
    SELECT 11, unnest(ARRAY['DROP SCHEMA gateway_replaced', 'DROP SCHEMA gateway_rebuild'])
)
SELECT statement FROM steps ORDER BY step, statement;

-- name: comparison_plan
-- For each table folded from the log: one statement that counts, and one that finds the first row that differs. The
-- beginning of a run is compared if it is known: older releases did not store it. `*<>` compares rows byte for byte, so
-- that -0.0 differs from 0.0. Rows are assembled after the join, which therefore carries pointers to long values and
-- not the values.
WITH tables AS (
    SELECT c.oid, c.relname, x.indkey FROM pg_class c JOIN pg_index x ON x.indrelid = c.oid AND x.indisprimary
    WHERE c.relnamespace = 'gateway_rebuild'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND NOT (c.relname LIKE ANY ($2::text[]))
),
columns AS (
    SELECT t.oid, a.attname, a.attnum, array_position(t.indkey::int2[], a.attnum) AS key_place,
           -- Earlier releases did not store them.
           CASE WHEN (t.relname, a.attname) IN (
                    ('runs', 'first_offset'), ('params', 'log_offset'), ('chunks', 'pieces'))
                THEN format('coalesce(l.%1$I, r.%1$I)', a.attname)
                ELSE format('l.%I', a.attname) END AS live
    FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
),
parts AS (
    SELECT oid,
           array_agg(attname::text ORDER BY attnum) AS names,
           array_agg(attname::text ORDER BY key_place) FILTER (WHERE key_place IS NOT NULL) AS keys,
           string_agg(format('l.%1$I = r.%1$I', attname), ' AND ' ORDER BY key_place)
               FILTER (WHERE key_place IS NOT NULL) AS matches,
           string_agg(format('coalesce(l.%1$I, r.%1$I)', attname), ', ' ORDER BY key_place)
               FILTER (WHERE key_place IS NOT NULL) AS key_order,
           string_agg(format('coalesce(l.%1$I, r.%1$I)::text', attname), ', ' ORDER BY key_place)
               FILTER (WHERE key_place IS NOT NULL) AS key_texts,
           string_agg(format('ROW(%2$s)::record *<> ROW(r.%1$I)::record', attname, live), ', ' ORDER BY attnum) AS differs,
           string_agg(live, ', ' ORDER BY attnum) AS live_values,
           string_agg(format('r.%I', attname), ', ' ORDER BY attnum) AS rebuilt_values,
           string_agg(format('l.%I::text', attname), ', ' ORDER BY attnum) AS live,
           string_agg(format('r.%I::text', attname), ', ' ORDER BY attnum) AS rebuilt
    FROM columns GROUP BY oid
),
whole AS (
    SELECT t.relname, p.*,
           format('FROM %1$I.%2$I AS l FULL JOIN gateway_rebuild.%2$I AS r ON %3$s', $1::text, t.relname, p.matches)
               AS joined,
           format('(l.%1$I IS NULL OR r.%1$I IS NULL OR ROW(%2$s)::record *<> ROW(%3$s)::record)',
                  p.keys[1], p.live_values, p.rebuilt_values) AS unequal
    FROM tables t JOIN parts p USING (oid)
)
SELECT relname::text AS table_name, names, keys,
       format('SELECT count(l.%1$I) AS live, count(r.%1$I) AS rebuilt, count(*) FILTER (WHERE %2$s) AS different %3$s',
              keys[1], unequal, joined) AS counting,
       format('SELECT l.%1$I IS NOT NULL AS in_live, r.%1$I IS NOT NULL AS in_rebuilt, ARRAY[%2$s] AS key, '
              'ARRAY[%3$s] AS differs, ARRAY[%4$s] AS live, ARRAY[%5$s] AS rebuilt %6$s WHERE %7$s '
              'ORDER BY %8$s LIMIT 1',
              keys[1], key_texts, differs, live, rebuilt, joined, unequal, key_order) AS finding
FROM whole ORDER BY relname;
