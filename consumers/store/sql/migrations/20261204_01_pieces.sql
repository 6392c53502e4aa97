-- Where the corners of pieces of each full chunk lie: charts of about a hundred thousand points are as fast as long ones
-- depends: 20261203_01_chunk_groups

-- migrate: apply

-- Of full chunks: numbers of points, see materialiser/fold/pieces.py. NULL: written by an earlier release; charts then
-- read the points, or have one bucket for the chunk, until `gateway rebuild` folds them again.
ALTER TABLE chunks ADD COLUMN pieces smallint[];
ALTER TABLE chunks ALTER COLUMN pieces SET STATISTICS 0;

-- migrate: rollback
