-- Runs, their parts, their points, and how far the log is folded
-- depends:

-- migrate: apply

-- How far each consumer is. The materialiser moves its row in the same transaction as the data it stands for.
CREATE TABLE consumer_offsets (
    consumer    text   NOT NULL,
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
);

CREATE TABLE runs (
    run_id          text PRIMARY KEY,
    name            text    NOT NULL,
    tag             text    NOT NULL,
    group_name      text    NOT NULL,
    parent_run_id   text    NOT NULL,
    original_run_id text    NOT NULL,
    dag_hash        text    NOT NULL,
    use_cached      boolean NOT NULL,
    run_config      jsonb   NOT NULL,
    state           text    NOT NULL,
    message         text    NOT NULL,
    attempt         int     NOT NULL,
    created         bigint  NOT NULL, -- µs, earliest event time
    started         bigint,           -- µs
    ended           bigint,           -- µs
    updated         bigint  NOT NULL, -- µs, latest event time
    points          bigint  NOT NULL,
    note            text    NOT NULL,
    environment     jsonb   NOT NULL,
    deleted         boolean NOT NULL,
    partition       int     NOT NULL,
    next_offset     bigint  NOT NULL  -- of the log: this run is folded up to here
);
CREATE INDEX runs_by_created ON runs (created DESC);
CREATE INDEX runs_by_group ON runs (group_name, created DESC);

-- What arrived of each producer: the ledger that refuses duplicates and proves completeness.
CREATE TABLE producers (
    run_id          text   NOT NULL,
    producer        text   NOT NULL,
    next_seq        bigint NOT NULL,
    missing         jsonb  NOT NULL, -- [[first, after last], ...] sequence numbers below next_seq not seen yet
    refused         bigint NOT NULL, -- duplicates
    expected        bigint,          -- records, said by the producer when it closed
    expected_points bigint,
    dropped         bigint NOT NULL, -- points the producer refused at its own bound
    PRIMARY KEY (run_id, producer)
);

CREATE TABLE steps (
    run_id    text    NOT NULL,
    step_name text    NOT NULL,
    position  int     NOT NULL, -- order of first appearance
    name      text    NOT NULL,
    step_type text    NOT NULL,
    state     text    NOT NULL,
    message   text    NOT NULL,
    mock      boolean NOT NULL,
    PRIMARY KEY (run_id, step_name)
);

CREATE TABLE attempts (
    run_id    text   NOT NULL,
    step_name text   NOT NULL,
    attempt   int    NOT NULL,
    state     text   NOT NULL,
    message   text   NOT NULL,
    started   bigint, -- µs
    ended     bigint, -- µs
    PRIMARY KEY (run_id, step_name, attempt)
);

CREATE TABLE params (
    run_id    text  NOT NULL,
    step_name text  NOT NULL,
    attempt   int   NOT NULL,
    name      text  NOT NULL,
    value     jsonb NOT NULL, -- typed, see schemas/values.py
    PRIMARY KEY (run_id, step_name, attempt, name)
);
CREATE INDEX params_by_name ON params (name, value);

CREATE TABLE tags (
    run_id text NOT NULL,
    name   text NOT NULL,
    value  text NOT NULL,
    PRIMARY KEY (run_id, name)
);
CREATE INDEX tags_by_name ON tags (name, value);

CREATE TABLE run_labels (
    run_id text  NOT NULL,
    name   text  NOT NULL,
    value  jsonb NOT NULL,
    PRIMARY KEY (run_id, name)
);

CREATE TABLE artifacts (
    run_id     text   NOT NULL,
    step_name  text   NOT NULL,
    name       text   NOT NULL,
    attempt    int    NOT NULL,
    uri        text   NOT NULL,
    size       bigint,
    sha256     text   NOT NULL,
    media_type text   NOT NULL,
    stage      text   NOT NULL,
    time       bigint NOT NULL,
    PRIMARY KEY (run_id, step_name, name, attempt)
);

CREATE TABLE code_identities (
    run_id                     text    NOT NULL,
    step_name                  text    NOT NULL,
    attempt                    int     NOT NULL,
    code_identifier            text    NOT NULL,
    code_identifier_type       text    NOT NULL,
    code_identifier_dependable boolean NOT NULL,
    code_identifier_url        text    NOT NULL,
    code_identifier_message    text    NOT NULL,
    diff_sha256                text    NOT NULL,
    PRIMARY KEY (run_id, step_name, attempt, code_identifier)
);

-- Values that are not numbers, one row each; (run_id, log_offset, position) is their place in the log.
CREATE TABLE observations (
    run_id     text   NOT NULL,
    log_offset bigint NOT NULL,
    position   int    NOT NULL,
    step_name  text   NOT NULL,
    attempt    int    NOT NULL,
    name       text   NOT NULL,
    labels     jsonb  NOT NULL,
    step       bigint NOT NULL,
    time       bigint NOT NULL,
    value      jsonb  NOT NULL,
    PRIMARY KEY (run_id, log_offset, position)
);

CREATE TABLE console_lines (
    run_id     text   NOT NULL,
    log_offset bigint NOT NULL,
    position   int    NOT NULL,
    stream     text   NOT NULL,
    time       bigint NOT NULL,
    line       text   NOT NULL,
    PRIMARY KEY (run_id, log_offset, position)
);

-- One row a series: everything a list, a search or a last value needs.
CREATE TABLE series (
    series_id  uuid PRIMARY KEY, -- hash of (run_id, step_name, attempt, name, labels): the same after every rebuild
    run_id     text    NOT NULL,
    step_name  text    NOT NULL,
    attempt    int     NOT NULL,
    name       text    NOT NULL,
    labels     jsonb   NOT NULL,
    integer    boolean NOT NULL,
    system     boolean NOT NULL,
    deleted    boolean NOT NULL,
    points     bigint  NOT NULL,
    non_finite bigint  NOT NULL,
    last_step  bigint  NOT NULL, -- of the point with the highest (step, time)
    last_time  bigint  NOT NULL,
    last_value double precision NOT NULL,
    min_value  double precision, -- of finite values, null when there is none
    max_value  double precision,
    open_index bigint  NOT NULL  -- points before it are in full chunks
) WITH (fillfactor = 60);
CREATE INDEX series_by_run ON series (run_id);

-- Points in log order, in chunks of 1,000; the newest of a series are in smaller rows, one for each record of the log.
CREATE TABLE chunks (
    series_id   uuid   NOT NULL,
    first_index bigint NOT NULL, -- of its first point, counted from 0 in log order
    points      int    NOT NULL,
    min_step    bigint NOT NULL,
    max_step    bigint NOT NULL,
    min_time    bigint NOT NULL,
    max_time    bigint NOT NULL,
    first_value double precision NOT NULL,
    last_value  double precision NOT NULL,
    min_value   double precision, -- of finite values
    max_value   double precision,
    non_finite  int    NOT NULL,
    steps       bigint[] NOT NULL,
    times       bigint[] NOT NULL, -- µs
    point_values double precision[] NOT NULL,
    PRIMARY KEY (series_id, first_index)
);

-- Records that can never be folded, with their bytes, so that nothing is lost and they can be replayed.
CREATE TABLE dead_letters (
    topic         text   NOT NULL,
    partition     int    NOT NULL,
    log_offset    bigint NOT NULL,
    kind          text   NOT NULL, -- class of schemas/errors.py
    reason        text   NOT NULL,
    record_key    bytea,
    record_value  bytea,
    header_names  text[]  NOT NULL,
    header_values bytea[] NOT NULL,
    record_time   bigint NOT NULL, -- ms, as the broker keeps it
    PRIMARY KEY (topic, partition, log_offset)
);

-- For people with a SQL tool: one row a point.
CREATE VIEW metric_points AS
SELECT s.run_id, s.step_name, s.attempt, s.name, s.labels, p.step, p.time,
       to_timestamp(p.time / 1e6) AS at, p.value, c.first_index + p.position - 1 AS index
FROM series s
JOIN chunks c USING (series_id)
CROSS JOIN LATERAL unnest(c.steps, c.times, c.point_values) WITH ORDINALITY AS p (step, time, value, position)
WHERE NOT s.deleted;

CREATE VIEW runs_overview AS
SELECT r.run_id, r.name, r.tag, r.group_name, r.state, r.message, r.attempt, r.points,
       to_timestamp(r.started / 1e6) AS started, to_timestamp(r.ended / 1e6) AS ended,
       (SELECT jsonb_object_agg(t.name, t.value) FROM tags t WHERE t.run_id = r.run_id) AS tags,
       (SELECT jsonb_object_agg(p.name, p.value -> 'value' ORDER BY p.attempt) FROM params p
        WHERE p.run_id = r.run_id) AS params
FROM runs r
WHERE NOT r.deleted;

-- migrate: rollback
