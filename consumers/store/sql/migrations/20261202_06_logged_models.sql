-- Logged models, with the points of their metrics and their files
-- depends: 20261201_01_registry

-- migrate: apply

CREATE TABLE logged_models (
    model_id      text    PRIMARY KEY,
    experiment_id text    NOT NULL,
    name          text    NOT NULL,
    model_type    text    NOT NULL,
    source_run_id text    NOT NULL,
    artifact_location text NOT NULL,
    status        text    NOT NULL,
    params        jsonb   NOT NULL,
    tags          jsonb   NOT NULL,
    created       bigint  NOT NULL, -- µs
    updated       bigint  NOT NULL, -- µs; when it got its status, or was deleted
    deleted       boolean NOT NULL
);
CREATE INDEX logged_models_by_experiment ON logged_models (experiment_id, created DESC, model_id);

CREATE TABLE logged_model_points (
    model_id       text   NOT NULL,
    name           text   NOT NULL, -- of the metric
    time           bigint NOT NULL, -- µs
    step           bigint NOT NULL,
    run_id         text   NOT NULL, -- that measured it
    value          float8 NOT NULL,
    dataset_name   text   NOT NULL,
    dataset_digest text   NOT NULL,
    log_offset     bigint NOT NULL,
    number         int    NOT NULL, -- in its event
    PRIMARY KEY (model_id, name, time, step, run_id)
);

CREATE TABLE logged_model_artifacts (
    model_id   text   NOT NULL,
    path       text   NOT NULL,
    uri        text   NOT NULL,
    size       bigint NOT NULL,
    sha256     text   NOT NULL,
    media_type text   NOT NULL,
    time       bigint NOT NULL, -- µs
    PRIMARY KEY (model_id, path)
);

-- migrate: rollback
