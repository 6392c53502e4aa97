-- Calls to trackers that never came back, and which process may call a tracker
-- depends: 20261121_09_trackers

-- migrate: apply

ALTER TABLE deliveries
    ADD COLUMN calling    boolean NOT NULL DEFAULT false, -- a call is under way, or its process died in it
    ADD COLUMN unanswered int     NOT NULL DEFAULT 0;     -- calls in a row, for what comes next, that never came back

-- Rises whenever a process takes the lease: one that lost it, and does not know yet, begins nothing any more.
ALTER TABLE trackers ADD COLUMN term bigint NOT NULL DEFAULT 0;

-- migrate: rollback
