-- A step may load a file and store it again: both are kept, where the later one replaced the earlier
-- depends: 20261201_02_runs

-- migrate: apply

ALTER TABLE artifacts DROP CONSTRAINT artifacts_pkey, ADD PRIMARY KEY (run_id, step_name, name, attempt, stage);

-- migrate: rollback
