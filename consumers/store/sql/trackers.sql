-- Trackers: orders of people about them, and their status.

-- name: tracker_orders
-- Orders for a delivery; no row if there never were any.
SELECT paused, orders FROM trackers WHERE tracker = $1;

-- name: tracker_circuit
-- The last report of its delivery on whether the tracker answers.
SELECT circuit, circuit_since, retry_at, error FROM trackers WHERE tracker = $1;

-- name: tracker_rereads
-- Runs that are to be reread from their own offset, because partition offsets are ahead of them.
SELECT run_id, partition, next_offset FROM deliveries WHERE tracker = $1 AND behind AND status <> 'parked';

-- name: caught_up
-- These runs have caught up with the partition offsets.
UPDATE deliveries SET behind = false, updated = now() WHERE tracker = $1 AND run_id = ANY ($2) AND behind;

-- name: park_behind
-- Park runs that cannot be reread.
UPDATE deliveries SET behind = false, status = 'parked', error = given.error, updated = now()
FROM unnest($2::text[], $3::text[]) AS given (run_id, error)
WHERE deliveries.tracker = $1 AND deliveries.run_id = given.run_id;

-- name: report_circuit
-- The report of a delivery on whether its tracker answers.
INSERT INTO trackers AS kept (tracker, circuit, circuit_since, retry_at, error) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tracker) DO UPDATE SET circuit = excluded.circuit, circuit_since = excluded.circuit_since,
    retry_at = excluded.retry_at, error = excluded.error
WHERE (kept.circuit, kept.circuit_since, kept.retry_at, kept.error)
    IS DISTINCT FROM (excluded.circuit, excluded.circuit_since, excluded.retry_at, excluded.error);

-- name: pause_tracker
-- Pause or resume the deliveries to a tracker.
INSERT INTO trackers (tracker, paused) VALUES ($1, $2) ON CONFLICT (tracker) DO UPDATE SET paused = excluded.paused;

-- name: order_reading
-- Order the delivery to look for runs that are to be reread.
INSERT INTO trackers (tracker, orders) VALUES ($1, 1) ON CONFLICT (tracker) DO UPDATE SET orders = trackers.orders + 1;

-- name: unpark
-- Unpark runs, all of them if $2 is null; they continue exactly where they stopped.
UPDATE deliveries SET status = 'delivering', error = '', behind = true, unanswered = 0, updated = now()
WHERE tracker = $1 AND status = 'parked' AND ($2::text[] IS NULL OR run_id = ANY ($2))
RETURNING run_id;

-- name: choose_new_runs
-- Order the whole history of runs that a tracker never had.
INSERT INTO deliveries (tracker, run_id, topic, partition, next_offset, ledgers, state, status, error, skipped, behind)
SELECT $1, run_id, $2, partition, 0, '{}', '{}', 'delivering', '', 0, true FROM runs WHERE run_id = ANY ($3)
ON CONFLICT (tracker, run_id) DO NOTHING;

-- name: choose_known_runs
-- Continue runs that the tracker has in part. Only for the holder of the lease.
UPDATE deliveries SET behind = true WHERE tracker = $1 AND run_id = ANY ($2) AND status <> 'parked' AND NOT behind;

-- name: replay_progress
-- How many of these runs, or of all if $2 is null, are still to be reread, and how many are parked.
SELECT count(*) FILTER (WHERE behind AND status <> 'parked') AS behind, count(*) FILTER (WHERE status = 'parked') AS parked
FROM deliveries WHERE tracker = $1 AND ($2::text[] IS NULL OR run_id = ANY ($2::text[]));

-- name: tracker_overview
-- One row per tracker of $1 or with any rows here: its runs, orders of people, whether it answers, whether a process
-- holds its lease, and whether it was ever given the whole log.
WITH counted AS (
    SELECT tracker, count(*) AS runs, count(*) FILTER (WHERE status = 'parked') AS parked,
           count(*) FILTER (WHERE status = 'waiting') AS waiting,
           count(*) FILTER (WHERE behind) AS behind, count(*) FILTER (WHERE attempt > 1) AS in_doubt,
           coalesce((array_agg(error ORDER BY updated DESC) FILTER (WHERE error <> ''))[1], '') AS last_error
    FROM deliveries GROUP BY tracker
), followed AS (
    SELECT DISTINCT substr(consumer, length('delivery/') + 1) AS tracker FROM consumer_offsets
    WHERE consumer LIKE 'delivery/%'
), named AS (
    SELECT tracker FROM counted UNION SELECT tracker FROM trackers UNION SELECT * FROM unnest($1::text[])
    UNION SELECT tracker FROM followed
), held AS (
    SELECT (classid::bigint << 32) | objid::bigint AS key FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT named.tracker, coalesce(runs, 0) AS runs, coalesce(parked, 0) AS parked, coalesce(waiting, 0) AS waiting,
       coalesce(behind, 0) AS behind, coalesce(in_doubt, 0) AS in_doubt,
       coalesce(nullif(trackers.error, ''), last_error, '') AS last_error,
       coalesce(paused, false) AS paused, coalesce(circuit, 'closed') AS circuit, circuit_since, retry_at,
       hashtextextended('delivery/' || named.tracker, 0) IN (SELECT key FROM held) AS is_delivering,
       named.tracker IN (SELECT tracker FROM followed) AS has_offsets
FROM named LEFT JOIN counted USING (tracker) LEFT JOIN trackers USING (tracker)
ORDER BY named.tracker;

-- name: tracker_runs
-- Runs of one tracker: first those that need attention, then the newest.
SELECT run_id, status, error, next_offset, partition, behind, attempt, skipped, state, updated,
       count(*) OVER () AS total
FROM deliveries WHERE tracker = $1 AND ($2::text IS NULL OR run_id = $2)
ORDER BY array_position(ARRAY['parked', 'waiting', 'delivering'], status), updated DESC, run_id LIMIT $3;

-- name: forget_deliveries
-- Delete the checkpoints of a tracker, including histories that are being delivered.
WITH gone AS (DELETE FROM deliveries WHERE tracker = $1 RETURNING 1),
     heads AS (DELETE FROM deliveries_history WHERE tracker = $1),
     rows AS (DELETE FROM deliveries_history_rows WHERE tracker = $1)
SELECT count(*) FROM gone;

-- name: forget_offsets
-- Delete its offsets in the log.
DELETE FROM consumer_offsets WHERE consumer = $1;

-- name: forget_tracker
-- Delete its orders.
DELETE FROM trackers WHERE tracker = $1;

-- name: release_lease
-- Allow another process to deliver to it.
SELECT pg_advisory_unlock(hashtextextended($1, 0));
