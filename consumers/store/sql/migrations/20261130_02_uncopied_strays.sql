-- Strays that an earlier release folded where they were: the log has no copies of them
-- depends: 20261130_01_run_partitions

-- migrate: apply

-- The next rebuild reads the whole log, copies strays below these offsets, and empties the table. It is not folded.
CREATE TABLE run_partitions_uncopied (
    topic     text   NOT NULL,
    partition int    NOT NULL,
    below     bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

INSERT INTO run_partitions_uncopied (topic, partition, below)
SELECT topic, partition, next_offset FROM consumer_offsets WHERE consumer = 'materialiser' AND next_offset > 0;

-- migrate: rollback
