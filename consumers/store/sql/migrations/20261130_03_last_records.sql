-- The last record that was folded of each partition, by which a log that was replaced is recognised
-- depends: 20261130_02_uncopied_strays

-- migrate: apply

ALTER TABLE consumer_offsets
    ADD COLUMN last_offset bigint, -- of it: a person may have moved next_offset
    ADD COLUMN last_time   bigint; -- ms, as the broker keeps it

-- migrate: rollback
