-- Series of many runs by name, for tables; console lines in the order in which they are shown
-- depends: 20261202_02_documents

-- migrate: apply

CREATE INDEX series_by_run_name ON series (run_id, name);
DROP INDEX series_by_run;

-- Lines of several processes come into the log in batches: by their times they are one text.
ALTER TABLE console_lines DROP CONSTRAINT console_lines_pkey, ADD PRIMARY KEY (run_id, time, log_offset, position);

-- migrate: rollback
