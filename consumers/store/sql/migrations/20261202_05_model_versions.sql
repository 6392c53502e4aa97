-- What MLflow's clients know of a version besides: where its run is shown, and where its files are
-- depends: 20261201_02_runs

-- migrate: apply

ALTER TABLE model_versions ADD COLUMN run_link text NOT NULL DEFAULT ''; -- URL
ALTER TABLE model_versions ADD COLUMN location text NOT NULL DEFAULT ''; -- '': where its source says

-- migrate: rollback
