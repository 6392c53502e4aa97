-- Dead letters: records that can never be folded, how far they are published, and decisions about them.

-- name: load_in_row
-- Consecutive parked records up to the last folded one, by partition; absent if that one was good. `decided` is the
-- ordinal of the newest of them with a decision, 0 for none.
SELECT l.partition, l.in_row, coalesce((
    SELECT d.in_row FROM dead_letters d JOIN dead_letters_settled USING (topic, partition, log_offset)
    WHERE d.topic = l.topic AND d.partition = l.partition AND d.log_offset BETWEEN (
        SELECT max(f.log_offset) FROM dead_letters f
        WHERE f.topic = l.topic AND f.partition = l.partition AND f.log_offset <= l.log_offset AND f.in_row = 1
    ) AND l.log_offset
    ORDER BY d.log_offset DESC LIMIT 1), 0) AS decided
FROM dead_letters l
JOIN unnest($2::int[], $3::bigint[]) AS last (partition, log_offset) USING (partition, log_offset)
WHERE l.topic = $1;

-- name: load_of_run
-- Parked records with one of these keys in one partition; a key is given by its hash. `decided` is the ordinal of the
-- newest of them with a decision, 0 for none.
SELECT DISTINCT ON (digest) digest, l.of_run, coalesce((
    SELECT d.of_run FROM dead_letters d JOIN dead_letters_settled USING (topic, partition, log_offset)
    WHERE sha256(d.record_key) = digest AND d.topic = $1 AND d.partition = $2
    ORDER BY d.log_offset DESC LIMIT 1), 0) AS decided
FROM unnest($3::bytea[]) AS wanted (digest)
JOIN dead_letters l ON sha256(l.record_key) = digest AND l.topic = $1 AND l.partition = $2
ORDER BY digest, l.log_offset DESC;

-- name: find_dead_letters
-- Newest first, without their bytes; each condition may be null.
SELECT l.topic, l.partition, l.log_offset, l.kind, l.reason, l.record_key, l.record_time,
       coalesce(octet_length(l.record_value), 0) AS size, coalesce(s.decision, 'parked') AS state,
       coalesce(s.because, '') AS because, s.decided, count(*) OVER () AS total
FROM dead_letters l LEFT JOIN dead_letters_settled s USING (topic, partition, log_offset)
WHERE ($1::bytea IS NULL OR sha256(l.record_key) = sha256($1))
  AND ($2::text IS NULL OR position(lower($2) IN lower(l.kind || ': ' || l.reason)) > 0)
  AND ($3::text IS NULL OR coalesce(s.decision, 'parked') = $3)
ORDER BY l.record_time DESC, l.topic, l.partition, l.log_offset DESC
LIMIT $4;

-- name: get_dead_letter
SELECT l.*, coalesce(s.decision, 'parked') AS state, coalesce(s.because, '') AS because, s.decided
FROM dead_letters l LEFT JOIN dead_letters_settled s USING (topic, partition, log_offset)
WHERE (l.topic, l.partition, l.log_offset) = ($1, $2, $3);

-- name: next_dead_letters
-- Ids of undecided dead letters after a position, in log order; the first conditions are those of find_dead_letters.
SELECT l.topic, l.partition, l.log_offset
FROM dead_letters l LEFT JOIN dead_letters_settled s USING (topic, partition, log_offset)
WHERE ($1::bytea IS NULL OR sha256(l.record_key) = sha256($1))
  AND ($2::text IS NULL OR position(lower($2) IN lower(l.kind || ': ' || l.reason)) > 0)
  AND s.decision IS NULL AND (l.topic, l.partition, l.log_offset) > ($3, $4, $5)
ORDER BY l.topic, l.partition, l.log_offset
LIMIT $6;

-- name: dead_letter_states
SELECT topic, partition, log_offset, coalesce(s.decision, 'parked') AS state
FROM dead_letters
JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS chosen (topic, partition, log_offset)
  USING (topic, partition, log_offset)
LEFT JOIN dead_letters_settled s USING (topic, partition, log_offset);

-- name: record_decision
-- Record a decision. A replayed letter stays replayed: it is in the log again.
INSERT INTO dead_letters_settled (topic, partition, log_offset, decision, because)
SELECT topic, partition, log_offset, $4, $5
FROM dead_letters
JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS chosen (topic, partition, log_offset)
  USING (topic, partition, log_offset)
ON CONFLICT (topic, partition, log_offset) DO UPDATE SET
    decision = excluded.decision, because = excluded.because, decided = now()
WHERE dead_letters_settled.decision = 'discarded' AND excluded.decision = 'replayed';

-- name: newest_dead_letter
-- The newest dead letter without a decision.
SELECT l.topic, l.partition, l.log_offset, l.kind, l.reason, l.record_key, l.record_time
FROM dead_letters l
WHERE NOT EXISTS (SELECT FROM dead_letters_settled s WHERE (s.topic, s.partition, s.log_offset)
                                                         = (l.topic, l.partition, l.log_offset))
ORDER BY l.record_time DESC, l.topic, l.partition, l.log_offset DESC
LIMIT 1;

-- name: count_undecided_dead_letters
SELECT (SELECT count(*) FROM dead_letters)
     - (SELECT count(*) FROM dead_letters_settled JOIN dead_letters USING (topic, partition, log_offset));

-- name: unpublished_partitions
-- Partitions with dead letters that are not in their topic yet, and the first offset to publish.
SELECT o.partition, coalesce(p.next_offset, 0) AS next_offset
FROM consumer_offsets o LEFT JOIN dead_letters_published p USING (topic, partition)
WHERE o.consumer = $1 AND o.topic = $2
  AND EXISTS (SELECT FROM dead_letters l WHERE l.topic = o.topic AND l.partition = o.partition
                                           AND l.log_offset >= coalesce(p.next_offset, 0))
ORDER BY o.partition;

-- name: unpublished_dead_letters
-- The next dead letters of a partition, in order: at most $4 records, the last of which may exceed $5 bytes.
SELECT * FROM (
    SELECT *, sum(coalesce(octet_length(record_value), 0)) OVER (ORDER BY log_offset ROWS UNBOUNDED PRECEDING)
              - coalesce(octet_length(record_value), 0) AS bytes_before
    FROM (
        SELECT * FROM dead_letters WHERE topic = $1 AND partition = $2 AND log_offset >= $3
        ORDER BY log_offset LIMIT $4
    ) AS following
) AS measured
WHERE bytes_before < $5
ORDER BY log_offset;

-- name: mark_published
-- The offset never decreases.
INSERT INTO dead_letters_published (topic, partition, next_offset) VALUES ($1, $2, $3)
ON CONFLICT (topic, partition) DO UPDATE SET
    next_offset = greatest(dead_letters_published.next_offset, excluded.next_offset);
