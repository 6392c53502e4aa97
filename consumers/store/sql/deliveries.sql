-- Deliveries to trackers: one row per tracker and run.

-- name: load_deliveries
-- Checkpoints of these runs in one tracker; of all if $2 is null. json keeps integers of any size in a plug-in's state.
SELECT *, state::json AS exact_state FROM deliveries WHERE tracker = $1 AND ($2::text[] IS NULL OR run_id = ANY ($2::text[]));

-- name: furthest_deliveries
-- Highest offset up to which a tracker has a run, by partition; positions in histories do not count.
SELECT partition, max(next_offset) AS next_offset FROM deliveries
WHERE tracker = $1 AND topic = $2 AND next_offset < 4611686018427387904 GROUP BY partition;

-- name: begin_deliveries
-- Store what runs are about to receive, and return their checkpoints, without parked runs. A range that was begun and
-- never ended is in doubt from now on. $6: nothing is stored if another process has taken the lease since.
INSERT INTO deliveries AS kept (tracker, run_id, topic, partition, next_offset, ledgers, state, status, error, skipped,
    attempt, intent_to, calling)
SELECT $1, given.run_id, $2, given.partition, 0, '{}', '{}', 'delivering', '', 0, 1, given.intent_to, true
FROM unnest($3::text[], $4::int[], $5::bigint[]) AS given (run_id, partition, intent_to)
WHERE $6::bigint IS NULL OR $6 = (SELECT term FROM trackers WHERE tracker = $1)
ON CONFLICT (tracker, run_id) DO UPDATE SET topic = excluded.topic, partition = excluded.partition,
    attempt = kept.attempt + 1, intent_to = excluded.intent_to, doubt_to = greatest(kept.doubt_to, kept.intent_to),
    calling = true, updated = now()
WHERE kept.status <> 'parked'
RETURNING *, state::json AS exact_state;

-- name: keep_deliveries
-- Compare and set: skips a row that another process has moved first, which fences this one. The same values twice are
-- no conflict: a process whose connection broke during a commit asks again that way.
UPDATE deliveries AS kept SET next_offset = after.next_offset, ledgers = after.ledgers, state = after.state,
    status = after.status, error = after.error, skipped = after.skipped, behind = after.behind,
    attempt = after.attempt, doubt_to = after.doubt_to, unanswered = after.unanswered, calling = false,
    intent_to = CASE WHEN after.attempt = 0 THEN 0 ELSE kept.intent_to END, updated = now()
FROM unnest($2::text[], $3::bigint[], $4::jsonb[], $5::jsonb[], $6::text[], $7::text[], $8::bigint[], $9::boolean[],
        $10::int[], $11::bigint[], $12::int[], $13::bigint[], $14::int[])
    AS after (run_id, next_offset, ledgers, state, status, error, skipped, behind, attempt, doubt_to, unanswered,
        from_offset, from_attempt)
WHERE kept.tracker = $1 AND kept.run_id = after.run_id
  AND ((kept.next_offset = after.from_offset AND kept.attempt = after.from_attempt)
       OR (kept.next_offset = after.next_offset AND kept.attempt = after.attempt AND kept.state = after.state))
RETURNING kept.run_id;

-- name: raise_offsets
-- Offsets of a tracker, by partition; an offset never decreases.
INSERT INTO consumer_offsets (consumer, topic, partition, next_offset)
SELECT $1, $2, given.partition, given.next_offset FROM unnest($3::int[], $4::bigint[]) AS given (partition, next_offset)
ON CONFLICT (consumer, topic, partition) DO UPDATE SET
    next_offset = greatest(consumer_offsets.next_offset, excluded.next_offset);

-- name: try_lease
-- Held by the session: it ends with the process that holds it.
SELECT pg_try_advisory_lock(hashtextextended($1, 0));

-- name: begin_term
-- A process that takes the lease fences those that had it before. The clock makes a forgotten tracker begin with a
-- higher term.
INSERT INTO trackers AS kept (tracker, term) VALUES ($1, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint)
ON CONFLICT (tracker) DO UPDATE SET term = greatest(kept.term + 1, excluded.term)
RETURNING term;

-- name: tracker_term
-- The present term of the lease.
SELECT term FROM trackers WHERE tracker = $1;

-- name: notice_lost_lease
-- A machine that vanishes loses its lease after half a minute, not after the two hours of a kernel.
SELECT set_config('tcp_keepalives_idle', '15', false), set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '3', false);

-- name: count_unanswered
-- Calls that were in progress when their process ended never returned.
UPDATE deliveries SET unanswered = unanswered + 1, calling = false, status = 'waiting',
    error = 'the process ended in the middle of a call for run ' || run_id
WHERE tracker = $1 AND calling AND status <> 'parked';

-- name: load_unanswered
-- Runs with calls that never returned.
SELECT run_id, unanswered FROM deliveries WHERE tracker = $1 AND unanswered > 0 AND status <> 'parked';
