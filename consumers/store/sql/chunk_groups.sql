-- Groups of summaries, from which charts of long series are made. A row has those of 64 consecutive chunks (level 0), or
-- of 64 times 4, 16, ... chunks (levels 1, 2, ...), and is written when the last of these chunks is full. Chunk number n
-- is the one whose first point has a number above 1,000 x (n - 1) and up to 1,000 x n: the first chunk may be shorter.

-- name: group_chunks
-- The rows of level 0 with these numbers ($2) of series ($1) of months ($3).
INSERT INTO chunk_groups
SELECT g.series_id, 0, g.number, g.month, min(c.min_step), max(c.max_step), min(c.min_time), max(c.max_time),
       array_agg(c.points ORDER BY c.first_index), array_agg(c.non_finite ORDER BY c.first_index),
       array_agg(c.min_step ORDER BY c.first_index), array_agg(c.max_step ORDER BY c.first_index),
       array_agg(c.min_time ORDER BY c.first_index), array_agg(c.max_time ORDER BY c.first_index),
       array_agg(c.corners[1] ORDER BY c.first_index), array_agg(c.ends[1] ORDER BY c.first_index),
       array_agg(c.corners[2] ORDER BY c.first_index), array_agg(c.corners[3] ORDER BY c.first_index),
       array_agg(coalesce(c.min_value, 'NaN') ORDER BY c.first_index),
       array_agg(c.corners[4] ORDER BY c.first_index), array_agg(c.corners[5] ORDER BY c.first_index),
       array_agg(coalesce(c.max_value, 'NaN') ORDER BY c.first_index),
       array_agg(c.corners[6] ORDER BY c.first_index), array_agg(c.ends[2] ORDER BY c.first_index),
       CASE WHEN sum(c.non_finite) > 0 THEN array_agg(coalesce(c.corners[7], 0) ORDER BY c.first_index) END,
       CASE WHEN sum(c.non_finite) > 0 THEN array_agg(coalesce(c.corners[8], 0) ORDER BY c.first_index) END,
       CASE WHEN sum(c.non_finite) > 0 THEN array_agg(coalesce(c.corners[9], 0) ORDER BY c.first_index) END
FROM unnest($1::uuid[], $2::bigint[], $3::int[]) AS g (series_id, number, month)
JOIN chunks c ON c.series_id = g.series_id AND c.month = g.month AND c.corners IS NOT NULL
             AND c.first_index > (g.number * 64 - 1) * 1000 AND c.first_index <= (g.number * 64 + 63) * 1000
GROUP BY g.series_id, g.number, g.month
HAVING count(*) = 64;

-- name: group_groups
-- The rows of level $4 with these numbers ($2) of series ($1) of months ($3), each from four of the level below. Of
-- equal places in order the earlier chunks count. NaN stands for no finite value, and PostgreSQL sorts it last.
INSERT INTO chunk_groups
WITH below AS (
    SELECT g.series_id, g.number, g.month, (c.number - 4 * g.number) * 16 + (n.place - 1) / 4 AS part,
           row_number() OVER (PARTITION BY g.series_id, g.number ORDER BY c.number, n.place) AS at, n.*
    FROM unnest($1::uuid[], $2::bigint[], $3::int[]) AS g (series_id, number, month)
    JOIN chunk_groups c ON c.series_id = g.series_id AND c.level = $4::int - 1 AND c.month = g.month
                       AND c.number >= 4 * g.number AND c.number < 4 * g.number + 4
    CROSS JOIN LATERAL unnest(
        c.points, c.non_finite, c.min_steps, c.max_steps, c.min_times, c.max_times, c.first_times, c.first_values,
        c.low_steps, c.low_times, c.low_values, c.high_steps, c.high_times, c.high_values, c.last_times, c.last_values,
        c.odd_steps, c.odd_times, c.odd_kinds
    ) WITH ORDINALITY AS n (
        points, non_finite, min_step, max_step, min_time, max_time, first_time, first_value, low_step, low_time,
        low_value, high_step, high_time, high_value, last_time, last_value, odd_step, odd_time, odd_kinds, place)
), merged AS (
    SELECT series_id, number, month, part, sum(points)::bigint AS points, sum(non_finite)::bigint AS non_finite,
           min(min_step) AS min_step, max(max_step) AS max_step, min(min_time) AS min_time, max(max_time) AS max_time,
           (array_agg(first_time ORDER BY min_step, first_time, at))[1] AS first_time,
           (array_agg(first_value ORDER BY min_step, first_time, at))[1] AS first_value,
           (array_agg(low_step ORDER BY low_value, at))[1] AS low_step,
           (array_agg(low_time ORDER BY low_value, at))[1] AS low_time,
           (array_agg(low_value ORDER BY low_value, at))[1] AS low_value,
           (array_agg(high_step ORDER BY -high_value, at))[1] AS high_step,
           (array_agg(high_time ORDER BY -high_value, at))[1] AS high_time,
           (array_agg(high_value ORDER BY -high_value, at))[1] AS high_value,
           (array_agg(last_time ORDER BY max_step DESC, last_time DESC, at DESC))[1] AS last_time,
           (array_agg(last_value ORDER BY max_step DESC, last_time DESC, at DESC))[1] AS last_value,
           coalesce((array_agg(odd_step ORDER BY at) FILTER (WHERE non_finite > 0))[1], 0) AS odd_step,
           coalesce((array_agg(odd_time ORDER BY at) FILTER (WHERE non_finite > 0))[1], 0) AS odd_time,
           coalesce(bit_or(odd_kinds), 0) AS odd_kinds
    FROM below GROUP BY series_id, number, month, part
)
SELECT series_id, $4, number, month, min(min_step), max(max_step), min(min_time), max(max_time),
       array_agg(points ORDER BY part), array_agg(non_finite ORDER BY part),
       array_agg(min_step ORDER BY part), array_agg(max_step ORDER BY part),
       array_agg(min_time ORDER BY part), array_agg(max_time ORDER BY part),
       array_agg(first_time ORDER BY part), array_agg(first_value ORDER BY part),
       array_agg(low_step ORDER BY part), array_agg(low_time ORDER BY part), array_agg(low_value ORDER BY part),
       array_agg(high_step ORDER BY part), array_agg(high_time ORDER BY part), array_agg(high_value ORDER BY part),
       array_agg(last_time ORDER BY part), array_agg(last_value ORDER BY part),
       CASE WHEN sum(non_finite) > 0 THEN array_agg(odd_step ORDER BY part) END,
       CASE WHEN sum(non_finite) > 0 THEN array_agg(odd_time ORDER BY part) END,
       CASE WHEN sum(non_finite) > 0 THEN array_agg(odd_kinds ORDER BY part) END
FROM merged GROUP BY series_id, number, month
HAVING count(*) = 64;

-- name: get_chunk_groups
-- Rows of a series of these levels ($2) from these numbers ($3) to before these ($4) that may have points within these
-- bounds, each array in its binary format.
SELECT c.level, c.number, array_send(c.points) AS points, array_send(c.non_finite) AS non_finite,
       array_send(c.min_steps) AS min_steps, array_send(c.max_steps) AS max_steps,
       array_send(c.min_times) AS min_times, array_send(c.max_times) AS max_times,
       array_send(c.first_times) AS first_times, array_send(c.first_values) AS first_values,
       array_send(c.low_steps) AS low_steps, array_send(c.low_times) AS low_times, array_send(c.low_values) AS low_values,
       array_send(c.high_steps) AS high_steps, array_send(c.high_times) AS high_times,
       array_send(c.high_values) AS high_values,
       array_send(c.last_times) AS last_times, array_send(c.last_values) AS last_values,
       array_send(c.odd_steps) AS odd_steps, array_send(c.odd_times) AS odd_times, array_send(c.odd_kinds) AS odd_kinds
FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS wanted (level, first, until)
JOIN chunk_groups c ON c.series_id = $1 AND c.level = wanted.level AND c.number >= wanted.first AND c.number < wanted.until
WHERE c.min_step <= $6::bigint AND c.max_step >= $5::bigint AND c.min_time <= $8::bigint AND c.max_time >= $7::bigint
ORDER BY c.level DESC, c.number;

-- name: count_chunk_groups
SELECT count(*) FROM chunk_groups WHERE series_id = $1;

-- name: get_corners
-- Full chunks of a series whose first point has a number from $3 to before $4, and that may have points within these
-- bounds.
SELECT first_index, points, non_finite, min_step, max_step, min_time, max_time, min_value, max_value, corners, ends
FROM chunks WHERE series_id = $1 AND month = $2 AND first_index >= $3::bigint AND first_index < $4::bigint
  AND min_step <= $6::bigint AND max_step >= $5::bigint AND min_time <= $8::bigint AND max_time >= $7::bigint
ORDER BY first_index;

-- name: get_pieces
-- Of full chunks of series ($1) of months ($2) whose first point has a number from $3 to before $4, and whose points all
-- lie within bounds ($7 to $10): of the pieces of one level (materialiser/fold/pieces.py; $5 are on the levels before
-- it, $6 on it, $11 on all) the corners, and of a chunk with values that are not finite after them the first such points.
-- All are NULL where a chunk has no pieces. OFFSET 0: a plan cannot know how few chunks these are, and would read all of
-- the month once. || makes PostgreSQL read an array from its table once, not for each value: after rows are sorted, which
-- then fit into memory.
SELECT c.series_id, c.first_index, c.points, c.non_finite, c.min_time, c.max_time, array_send(p.steps) AS steps,
       array_send(p.times) AS times, array_send(p.values) AS point_values,
       CASE WHEN c.non_finite > 0 THEN array_send(c.pieces[5 * $11::int + c.before + 1 : 5 * $11 + c.before + c.wanted]
           || c.pieces[6 * $11 + c.before + 1 : 6 * $11 + c.before + c.wanted]) END AS odd
FROM (
    SELECT series_id, first_index, points, non_finite, min_step, min_time, max_time, pieces, before, wanted,
           times IS NULL AS is_short,
           CASE WHEN steps IS NULL THEN (max_step - min_step) / greatest(points - 1, 1) END AS stride,
           steps || '{}'::bigint[] AS steps, times || '{}'::bigint[] AS times, time_deltas || '{}'::int[] AS deltas,
           point_values || '{}'::double precision[] AS point_values
    FROM (
        SELECT c.*, w.before, w.wanted
        FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::bigint[], $5::int[], $6::int[], $7::bigint[], $8::bigint[],
                    $9::bigint[], $10::bigint[])
            AS w (series_id, month, first, until, before, wanted, min_step, max_step, min_time, max_time)
        CROSS JOIN LATERAL (
            SELECT * FROM chunks
            WHERE series_id = w.series_id AND month = w.month AND first_index >= w.first AND first_index < w.until
              AND min_step >= w.min_step AND max_step <= w.max_step AND min_time >= w.min_time AND max_time <= w.max_time
            OFFSET 0
        ) AS c
        ORDER BY c.series_id, c.first_index OFFSET 0
    ) AS sorted
    OFFSET 0
) AS c
CROSS JOIN LATERAL (
    SELECT array_agg(CASE WHEN c.stride IS NULL THEN c.steps[n] ELSE c.min_step + (n - 1) * c.stride END) AS steps,
           array_agg(CASE WHEN c.is_short THEN c.min_time + c.deltas[n] ELSE c.times[n] END) AS times,
           array_agg(c.point_values[n]) AS values
    FROM unnest(c.pieces[4 * c.before + 1 : 4 * (c.before + c.wanted)] || CASE WHEN c.non_finite > 0
             THEN c.pieces[4 * $11 + c.before + 1 : 4 * $11 + c.before + c.wanted] END) AS n
) AS p;

-- name: get_chunks_of_many
-- Chunks of series ($1) of months ($2), in log order, whose first point has a number from $3 to before $4, and that may
-- have points within bounds ($5 to $8): as packed_chunks returns them. OFFSET 0 as in get_pieces. Arrays are packed after
-- rows are sorted, which then fit into memory.
SELECT series_id, first_index, points, min_step, max_step, min_time, max_time, array_send(steps) AS steps,
       array_send(times) AS times, array_send(time_deltas) AS time_deltas, array_send(point_values) AS point_values
FROM (
    SELECT c.* FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                           $8::bigint[])
        AS w (series_id, month, first, until, min_step, max_step, min_time, max_time)
    CROSS JOIN LATERAL (
        SELECT * FROM chunks
        WHERE series_id = w.series_id AND month = w.month AND first_index >= w.first AND first_index < w.until
          AND min_step <= w.max_step AND max_step >= w.min_step AND min_time <= w.max_time AND max_time >= w.min_time
        OFFSET 0
    ) AS c
    ORDER BY c.series_id, c.first_index OFFSET 0
) AS found;

-- name: lowest_open_step
SELECT min(min_step) FROM chunks WHERE series_id = $1 AND month = $2 AND first_index >= $3;
