-- Experiments, registered models and their versions, and the outcome of each request about them
-- depends: 20261130_10_edits

-- migrate: apply

CREATE TABLE experiments (
    experiment_id     text    PRIMARY KEY,
    name              text    NOT NULL, -- of this experiment alone, also while it is deleted: the fold takes care
    description       text    NOT NULL,
    artifact_location text    NOT NULL,
    tags              jsonb   NOT NULL,
    created           bigint  NOT NULL, -- µs
    updated           bigint  NOT NULL, -- µs
    deleted           boolean NOT NULL
);
CREATE INDEX experiments_by_name ON experiments (name);
CREATE INDEX experiments_by_time ON experiments (created DESC, experiment_id);

-- Every name that an experiment has or had: it means the one that has it now, or else the one that had it last. So runs
-- that name their experiment by a tag stay with it when it gets another name.
CREATE TABLE experiment_names (
    name          text PRIMARY KEY,
    experiment_id text NOT NULL
);
CREATE INDEX experiment_names_by_id ON experiment_names (experiment_id);

CREATE TABLE models (
    model_id     bigint PRIMARY KEY, -- offset of its registration in the log
    name         text   NOT NULL,    -- of this model alone: the fold takes care
    description  text   NOT NULL,
    tags         jsonb  NOT NULL,
    created      bigint NOT NULL, -- µs
    updated      bigint NOT NULL, -- µs
    next_version int    NOT NULL
);
CREATE INDEX models_by_name ON models (name);

CREATE TABLE model_versions (
    model_id    bigint NOT NULL,
    version     int    NOT NULL,
    source      text   NOT NULL, -- URI of its files
    run_id      text   NOT NULL,
    description text   NOT NULL,
    tags        jsonb  NOT NULL,
    created     bigint NOT NULL, -- µs
    updated     bigint NOT NULL, -- µs
    stage       text   NOT NULL,
    PRIMARY KEY (model_id, version)
);
CREATE INDEX model_versions_by_stage ON model_versions (model_id, stage);
CREATE INDEX model_versions_by_run ON model_versions (run_id) WHERE run_id <> '';

CREATE TABLE model_aliases (
    model_id bigint NOT NULL,
    alias    text   NOT NULL,
    version  int    NOT NULL,
    PRIMARY KEY (model_id, alias)
);

CREATE TABLE decisions (
    collection text   NOT NULL, -- experiments, models
    producer   text   NOT NULL,
    seq        bigint NOT NULL,
    subject_id text   NOT NULL,
    kind       text   NOT NULL, -- of the event
    outcome    text   NOT NULL, -- done, or why not: see consumers/store/registry/rows.py
    reason     text   NOT NULL,
    result     jsonb  NOT NULL,
    time       bigint NOT NULL, -- µs
    log_offset bigint NOT NULL,
    PRIMARY KEY (collection, producer, seq)
);

-- migrate: rollback
