-- Views and rules of alerts, with all their versions, and what code says of metrics
-- depends: 20261202_06_logged_models

-- migrate: apply

CREATE TABLE saved_items (
    collection text    NOT NULL, -- views, alert_rules
    item_id    text    NOT NULL,
    version    int     NOT NULL, -- the newest
    name       text    NOT NULL, -- of that version, as is the type
    type       text    NOT NULL,
    created    bigint  NOT NULL, -- µs
    updated    bigint  NOT NULL, -- µs
    deleted    boolean NOT NULL,
    PRIMARY KEY (collection, item_id)
);
CREATE INDEX saved_items_by_time ON saved_items (collection, created DESC, item_id DESC);

-- json and not jsonb: the body is given back as it was saved, with the order of its names.
CREATE TABLE saved_versions (
    collection  text    NOT NULL,
    item_id     text    NOT NULL,
    version     int     NOT NULL,
    name        text    NOT NULL,
    type        text    NOT NULL,
    body        json    NOT NULL,
    description text    NOT NULL,
    enabled     boolean NOT NULL,
    author      text    NOT NULL,
    time        bigint  NOT NULL, -- µs, of the request
    log_offset  bigint  NOT NULL,
    PRIMARY KEY (collection, item_id, version)
);

CREATE TABLE metric_definitions (
    run_id      text    NOT NULL,
    name        text    NOT NULL, -- of a series, as it is written, or a pattern
    goal        text    NOT NULL,
    unit        text    NOT NULL,
    panel       text    NOT NULL,
    x           text    NOT NULL,
    alarm       text    NOT NULL,
    description text    NOT NULL,
    hidden      boolean NOT NULL,
    summary     text    NOT NULL,
    time        bigint  NOT NULL, -- µs
    PRIMARY KEY (run_id, name)
);

-- migrate: rollback
