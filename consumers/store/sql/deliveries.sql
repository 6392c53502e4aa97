-- Deliveries to trackers: one row a tracker and run.

-- name: load_deliveries
-- Progress of some runs in one tracker; of all when $2 is null.
SELECT * FROM deliveries WHERE tracker = $1 AND ($2::text[] IS NULL OR run_id = ANY ($2::text[]));

-- name: insert_delivery
-- The first checkpoint of a run; touches no row when another process made a different one.
INSERT INTO deliveries (tracker, run_id, topic, partition, next_offset, ledgers, state, status, error, skipped)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (tracker, run_id) DO UPDATE SET updated = now()
WHERE deliveries.next_offset = excluded.next_offset AND deliveries.state = excluded.state;

-- name: update_delivery
-- Compare and set: touches no row when another process moved it first, which fences this one. Saying the same twice is
-- no conflict: after a connection broke in the middle of a commit, that is how one asks again.
UPDATE deliveries SET topic = $3, partition = $4, next_offset = $5, ledgers = $6, state = $7, status = $8, error = $9,
    skipped = $10, updated = now()
WHERE tracker = $1 AND run_id = $2 AND (next_offset = $11 OR (next_offset = $5 AND state = $7));

-- name: raise_offsets
-- How far a tracker is in each partition; only ever rises.
INSERT INTO consumer_offsets (consumer, topic, partition, next_offset)
SELECT $1, $2, given.partition, given.next_offset FROM unnest($3::int[], $4::bigint[]) AS given (partition, next_offset)
ON CONFLICT (consumer, topic, partition) DO UPDATE SET
    next_offset = greatest(consumer_offsets.next_offset, excluded.next_offset);

-- name: try_lease
-- Held by the session: gone with the process that held it.
SELECT pg_try_advisory_lock(hashtextextended($1, 0));

-- name: delivery_statuses
-- One line a tracker: its runs, the parked ones, and the newest reason that something waits or is parked.
SELECT tracker, count(*) AS runs, count(*) FILTER (WHERE status = 'parked') AS parked,
       coalesce((array_agg(error ORDER BY updated DESC) FILTER (WHERE error <> ''))[1], '') AS last_error
FROM deliveries GROUP BY tracker ORDER BY tracker;
