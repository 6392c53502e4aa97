-- What each tracker is being given, what people ordered about it, and whether it answers
-- depends: 20261121_07_months

-- migrate: apply

-- The intent: before a tracker is given records of a run, the row says so; the result replaces it. What is in between
-- when a process dies, or when a tracker did not answer, may have arrived: it is in doubt.
ALTER TABLE deliveries
    ADD COLUMN attempt   int     NOT NULL DEFAULT 0, -- number of the call that is under way; 0: none, all is known
    ADD COLUMN intent_to bigint  NOT NULL DEFAULT 0, -- it brings the records from next_offset to below this offset
    ADD COLUMN doubt_to  bigint  NOT NULL DEFAULT 0, -- an earlier call, whose result is unknown, went to below this one
    ADD COLUMN behind    boolean NOT NULL DEFAULT false, -- partition offsets are ahead of this run: it is read again
    SET (fillfactor = 70); -- every row is written twice a call: leave room for its next version on the same page
CREATE INDEX deliveries_behind ON deliveries (tracker) WHERE behind;

-- One row for each tracker that anybody gave an order about, or whose delivery said how it stands.
CREATE TABLE trackers (
    tracker       text        PRIMARY KEY,
    paused        boolean     NOT NULL DEFAULT false,
    orders        bigint      NOT NULL DEFAULT 0,     -- grows when runs are to be read again
    circuit       text        NOT NULL DEFAULT 'closed' CHECK (circuit IN ('closed', 'open', 'probing')),
    circuit_since timestamptz,                        -- when it opened
    retry_at      timestamptz,                        -- when the next call is tried while it is open
    error         text        NOT NULL DEFAULT ''     -- why it opened
);

-- migrate: rollback
