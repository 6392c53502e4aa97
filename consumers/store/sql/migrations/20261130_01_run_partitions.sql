-- The partition of each run, so that a log may get more partitions while runs live
-- depends: 20261121_12_unanswered_calls

-- migrate: apply

-- Kafka chooses another partition for a key when a topic gets more of them. The first partition in which any consumer
-- meets a run is that of the run for ever; the materialiser copies records from other partitions there. Who was first
-- is not in the log, so a rebuild keeps this table.
CREATE TABLE run_partitions (
    topic     text NOT NULL,
    run_id    text NOT NULL,
    partition int  NOT NULL,
    PRIMARY KEY (topic, run_id)
);

INSERT INTO run_partitions (topic, run_id, partition)
SELECT log.topic, runs.run_id, runs.partition
FROM runs CROSS JOIN (SELECT min(topic) AS topic FROM consumer_offsets WHERE consumer = 'materialiser'
                      HAVING count(DISTINCT topic) = 1) AS log;

-- Earlier releases moved a delivery with its run to another partition and skipped records there: read these runs again
-- from the beginning of their partition. What the tracker has is recognised by its numbers.
UPDATE deliveries SET partition = runs.partition, next_offset = 0, behind = true
FROM runs WHERE runs.run_id = deliveries.run_id AND deliveries.partition <> runs.partition
  AND deliveries.next_offset < 4611686018427387904;

-- migrate: rollback
