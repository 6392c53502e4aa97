-- What a dead letter is the how-manieth of, where it was published, and what people decided about it
-- depends: 20261121_02_deliveries

-- migrate: apply

-- Counted from the log alone, so that limits are the same after every restart and every rebuild.
ALTER TABLE dead_letters
    ADD COLUMN in_row bigint NOT NULL DEFAULT 0, -- parked in this partition with no good record between, itself included
    ADD COLUMN of_run bigint NOT NULL DEFAULT 0; -- parked in this partition with this key, itself included; 0: no key

UPDATE dead_letters SET in_row = counted.in_row, of_run = counted.of_run
FROM (
    SELECT topic, partition, log_offset,
           row_number() OVER (PARTITION BY topic, partition, island ORDER BY log_offset) AS in_row,
           CASE WHEN record_key IS NULL THEN 0
                ELSE row_number() OVER (PARTITION BY topic, partition, record_key ORDER BY log_offset) END AS of_run
    FROM (
        SELECT *, log_offset - row_number() OVER (PARTITION BY topic, partition ORDER BY log_offset) AS island
        FROM dead_letters
    ) AS neighbours
) AS counted
WHERE (dead_letters.topic, dead_letters.partition, dead_letters.log_offset)
    = (counted.topic, counted.partition, counted.log_offset);

-- A key may be longer than an index can hold; its hash is not.
CREATE INDEX dead_letters_by_run ON dead_letters (sha256(record_key), topic, partition, log_offset);
CREATE INDEX dead_letters_by_time ON dead_letters (record_time DESC);

-- Not folded from the log, and so not touched by a rebuild: up to where the topic of dead letters has them.
CREATE TABLE dead_letters_published (
    topic       text   NOT NULL, -- of the log
    partition   int    NOT NULL,
    next_offset bigint NOT NULL, -- dead letters below it were acknowledged by Kafka
    PRIMARY KEY (topic, partition)
);

-- Not folded from the log either: what people decided.
CREATE TABLE dead_letters_settled (
    topic      text   NOT NULL,
    partition  int    NOT NULL,
    log_offset bigint NOT NULL,
    decision   text   NOT NULL CHECK (decision IN ('replayed', 'discarded')),
    because    text   NOT NULL,
    decided    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, log_offset)
);

-- migrate: rollback
