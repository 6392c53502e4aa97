-- Where the corners of each full chunk lie, and summaries of groups of chunks: charts of long series are exact and fast
-- depends: 20261202_06_logged_models

-- migrate: apply

-- The points of every full chunk are read once, within one transaction: 0.6 µs a point on a busy machine of two cores.
SET LOCAL statement_timeout = 0;

-- Of full chunks. By step, then time, then number of the point: time of the first; step and time of the lowest and of
-- the highest (the first recorded of equal ones); time of the last. If a value is not finite: step and time of the first
-- recorded of these, and the kinds of all of them, 1 NaN, 2 infinity, 4 negative infinity.
ALTER TABLE chunks ADD COLUMN corners bigint[];
ALTER TABLE chunks ADD COLUMN ends double precision[]; -- of full chunks: the values of the first and the last point

-- A row has the summaries of 64 consecutive chunks of a series, or of 64 groups of 4, 16, 64, ... consecutive chunks.
CREATE TABLE chunk_groups (
    series_id    uuid     NOT NULL,
    level        int      NOT NULL, -- a summary stands for 4 ^ level chunks
    number       bigint   NOT NULL, -- it begins at chunk number x 64 x 4 ^ level
    month        int      NOT NULL, -- of the run
    min_step     bigint   NOT NULL,
    max_step     bigint   NOT NULL,
    min_time     bigint   NOT NULL, -- µs, as all times
    max_time     bigint   NOT NULL,
    points       bigint[] NOT NULL,
    non_finite   bigint[] NOT NULL,
    min_steps    bigint[] NOT NULL,
    max_steps    bigint[] NOT NULL,
    min_times    bigint[] NOT NULL,
    max_times    bigint[] NOT NULL,
    first_times  bigint[] NOT NULL, -- first and last by step
    first_values double precision[] NOT NULL,
    low_steps    bigint[] NOT NULL,
    low_times    bigint[] NOT NULL,
    low_values   double precision[] NOT NULL, -- of finite values; NaN: there is none
    high_steps   bigint[] NOT NULL,
    high_times   bigint[] NOT NULL,
    high_values  double precision[] NOT NULL,
    last_times   bigint[] NOT NULL,
    last_values  double precision[] NOT NULL,
    odd_steps    bigint[], -- of the first recorded value that is not finite; NULL: all are finite
    odd_times    bigint[],
    odd_kinds    bigint[],
    PRIMARY KEY (series_id, level, number)
);
CREATE INDEX chunk_groups_by_month ON chunk_groups (month);
ALTER TABLE chunk_groups ALTER COLUMN points SET STORAGE EXTERNAL,
    ALTER COLUMN non_finite SET STORAGE EXTERNAL,
    ALTER COLUMN min_steps SET STORAGE EXTERNAL,
    ALTER COLUMN max_steps SET STORAGE EXTERNAL,
    ALTER COLUMN min_times SET STORAGE EXTERNAL,
    ALTER COLUMN max_times SET STORAGE EXTERNAL,
    ALTER COLUMN first_times SET STORAGE EXTERNAL,
    ALTER COLUMN first_values SET STORAGE EXTERNAL,
    ALTER COLUMN low_steps SET STORAGE EXTERNAL,
    ALTER COLUMN low_times SET STORAGE EXTERNAL,
    ALTER COLUMN low_values SET STORAGE EXTERNAL,
    ALTER COLUMN high_steps SET STORAGE EXTERNAL,
    ALTER COLUMN high_times SET STORAGE EXTERNAL,
    ALTER COLUMN high_values SET STORAGE EXTERNAL,
    ALTER COLUMN last_times SET STORAGE EXTERNAL,
    ALTER COLUMN last_values SET STORAGE EXTERNAL,
    ALTER COLUMN odd_steps SET STORAGE EXTERNAL,
    ALTER COLUMN odd_times SET STORAGE EXTERNAL,
    ALTER COLUMN odd_kinds SET STORAGE EXTERNAL;

UPDATE chunks AS c
SET (corners, ends) = (
    SELECT (ARRAY[
            CASE WHEN c.times IS NULL THEN c.min_time + c.time_deltas[first] ELSE c.times[first] END,
            CASE WHEN c.steps IS NULL THEN c.min_step + (low - 1) * stride ELSE c.steps[low] END,
            CASE WHEN c.times IS NULL THEN c.min_time + c.time_deltas[low] ELSE c.times[low] END,
            CASE WHEN c.steps IS NULL THEN c.min_step + (high - 1) * stride ELSE c.steps[high] END,
            CASE WHEN c.times IS NULL THEN c.min_time + c.time_deltas[high] ELSE c.times[high] END,
            CASE WHEN c.times IS NULL THEN c.min_time + c.time_deltas[last] ELSE c.times[last] END
        ] || CASE WHEN c.non_finite = 0 THEN '{}' ELSE (
            SELECT ARRAY[
                CASE WHEN c.steps IS NULL THEN c.min_step + (min(v.at) - 1) * stride ELSE c.steps[min(v.at)] END,
                CASE WHEN c.times IS NULL THEN c.min_time + c.time_deltas[min(v.at)] ELSE c.times[min(v.at)] END,
                bit_or(CASE v.value WHEN 'NaN' THEN 1 WHEN 'Infinity' THEN 2 ELSE 4 END)::bigint]
            FROM unnest(c.point_values) WITH ORDINALITY AS v (value, at)
            WHERE v.value IN ('NaN', 'Infinity', '-Infinity')
        ) END)::bigint[],
        ARRAY[c.point_values[first], c.point_values[last]]
    FROM (
        SELECT ends.*, coalesce(array_position(c.point_values, c.min_value), first) AS low,
               coalesce(array_position(c.point_values, c.max_value), first) AS high,
               (c.max_step::numeric - c.min_step) / greatest(c.points - 1, 1) AS stride -- between steps: above 2^63, too
        FROM (
            SELECT CASE WHEN c.steps IS NULL AND c.min_step < c.max_step THEN 1 ELSE (
                       SELECT p.at FROM unnest(c.point_values, c.steps, c.times, c.time_deltas)
                           WITH ORDINALITY AS p (value, step, time, delta, at)
                       ORDER BY p.step, p.time, p.delta, p.at LIMIT 1) END::int AS first,
                   CASE WHEN c.steps IS NULL AND c.min_step < c.max_step THEN c.points ELSE (
                       SELECT p.at FROM unnest(c.point_values, c.steps, c.times, c.time_deltas)
                           WITH ORDINALITY AS p (value, step, time, delta, at)
                       ORDER BY p.step DESC, p.time DESC, p.delta DESC, p.at DESC LIMIT 1) END::int AS last
            OFFSET 0
        ) AS ends
        OFFSET 0
    ) AS places
)
FROM series s
WHERE s.series_id = c.series_id AND s.month = c.month AND c.first_index < s.open_index;

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
FROM (SELECT series_id, month, generate_series(0, (open_index + 999) / 1000 / 64 - 1) AS number
      FROM series WHERE open_index >= 63000) AS g
JOIN chunks c ON c.series_id = g.series_id AND c.month = g.month AND c.corners IS NOT NULL
             AND c.first_index > (g.number * 64 - 1) * 1000 AND c.first_index <= (g.number * 64 + 63) * 1000
GROUP BY g.series_id, g.number, g.month
HAVING count(*) = 64;

DO $$
DECLARE
    one int := 1;
BEGIN
    LOOP
        INSERT INTO chunk_groups
        WITH below AS (
            SELECT g.series_id, g.number, g.month, (c.number - 4 * g.number) * 16 + (n.place - 1) / 4 AS part,
                   row_number() OVER (PARTITION BY g.series_id, g.number ORDER BY c.number, n.place) AS at, n.*
            FROM (SELECT series_id, number / 4 AS number, month FROM chunk_groups
                  WHERE level = one - 1 GROUP BY series_id, number / 4, month HAVING count(*) = 4) AS g
            JOIN chunk_groups c ON c.series_id = g.series_id AND c.level = one - 1 AND c.month = g.month
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
        SELECT series_id, one, number, month, min(min_step), max(max_step), min(min_time), max(max_time),
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
        FROM merged GROUP BY series_id, number, month;
        EXIT WHEN NOT FOUND;
        one := one + 1;
    END LOOP;
END
$$;

-- migrate: rollback
