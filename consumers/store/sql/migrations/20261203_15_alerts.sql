-- Alerts: what the process knows of runs, firings, and what is to be sent
-- depends: 20261203_10_saved_items

-- migrate: apply

-- Not folded by the materialiser: the alerts process writes them, with its own offsets. json and not jsonb: read whole.
CREATE TABLE alert_runs (
    run_id    text    PRIMARY KEY,
    partition int     NOT NULL,
    facts     json    NOT NULL, -- consumers/alerts/evaluator/facts.py
    progress  json    NOT NULL,
    open      boolean NOT NULL -- a rule may fire without a record
);
CREATE INDEX alert_runs_open ON alert_runs (run_id) WHERE open;

CREATE TABLE alert_series (
    run_id    text NOT NULL,
    series_id uuid NOT NULL, -- of the written name, which may be long
    series    text NOT NULL,
    state     json NOT NULL, -- consumers/alerts/evaluator/state.py
    PRIMARY KEY (run_id, series_id)
);

CREATE TABLE alerts (
    alert_id  uuid    PRIMARY KEY, -- of the version of the rule, the run, the series, and the how manyth firing
    rule_id   text    NOT NULL,
    version   bigint  NOT NULL,
    name      text    NOT NULL, -- of the rule, as are severity and targets
    severity  text    NOT NULL,
    targets   text[]  NOT NULL,
    run_id    text    NOT NULL,
    series    text    NOT NULL, -- '': the run itself
    fired     bigint  NOT NULL, -- µs
    resolved  bigint,           -- µs; NULL: it fires now
    step      bigint,
    value     float8,
    message   text    NOT NULL,
    resolution text   NOT NULL DEFAULT '',
    muted     boolean NOT NULL,
    stored    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX alerts_newest ON alerts (fired DESC, alert_id DESC);
CREATE INDEX alerts_firing ON alerts (rule_id, run_id) WHERE resolved IS NULL;
CREATE INDEX alerts_of_run ON alerts (run_id, fired DESC, alert_id DESC);

CREATE TABLE alert_outbox (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id uuid   NOT NULL UNIQUE, -- the same however often it is sent
    alert_id    uuid   NOT NULL,
    target      text   NOT NULL,
    event       text   NOT NULL, -- fired, resolved
    state       text   NOT NULL DEFAULT 'waiting', -- waiting, sent, given_up
    attempts    int    NOT NULL DEFAULT 0,
    next_try    timestamptz NOT NULL DEFAULT now(),
    created     timestamptz NOT NULL DEFAULT now(),
    error       text   NOT NULL DEFAULT ''
);
CREATE INDEX alert_outbox_waiting ON alert_outbox (target, number) WHERE state = 'waiting';
CREATE INDEX alert_outbox_of_alert ON alert_outbox (alert_id) WHERE state = 'waiting';

CREATE TABLE alert_mutes (
    rule_id text NOT NULL,
    run_id  text NOT NULL, -- '': every run
    until   timestamptz NOT NULL, -- infinity: until it is removed
    PRIMARY KEY (rule_id, run_id)
);

-- migrate: rollback
