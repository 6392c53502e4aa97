-- Runs of an experiment in the order in which they began; labels by name
-- depends: 20261201_10_artifact_stages

-- migrate: apply

CREATE INDEX runs_by_beginning ON runs (experiment_id, (coalesce(started, created)) DESC, run_id);
CREATE INDEX runs_by_any_beginning ON runs ((coalesce(started, created)) DESC, run_id);
CREATE INDEX run_labels_by_name ON run_labels ((left(name, 200) COLLATE "C"));

-- migrate: rollback
