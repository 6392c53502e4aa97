-- How far each tracker is with each run
-- depends: 20261121_01_start

-- migrate: apply

-- One row a tracker and run. Written after the tracker took what it stands for; offsets by partition are in
-- consumer_offsets under the consumer 'delivery/<tracker>' and never ahead of the runs that are not parked.
CREATE TABLE deliveries (
    tracker     text   NOT NULL,
    run_id      text   NOT NULL,
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    next_offset bigint NOT NULL, -- of the log: the tracker has this run's records below it
    ledgers     jsonb  NOT NULL, -- by producer: what was admitted, see consumers/admission.py
    state       jsonb  NOT NULL, -- the tracker's own words about this run
    status      text   NOT NULL CHECK (status IN ('delivering', 'waiting', 'parked')),
    error       text   NOT NULL, -- why it waits or is parked
    skipped     bigint NOT NULL, -- records that can never be decoded; the materialiser parks them
    updated     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tracker, run_id)
);

-- migrate: rollback
