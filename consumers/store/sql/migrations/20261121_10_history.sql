-- Where each run begins in the log, and the history of runs whose records the log has lost, on its way to a tracker
-- depends: 20261121_09_trackers

-- migrate: apply

-- NULL: folded by a release that did not write it down; such a run may begin anywhere.
ALTER TABLE runs ADD COLUMN first_offset bigint; -- of the first record that was folded of it

-- One row a tracker and run, while the run is brought from here and not from the log.
CREATE TABLE deliveries_history (
    tracker        text    NOT NULL,
    run_id         text    NOT NULL,
    partition      int     NOT NULL,
    next_offset    bigint  NOT NULL, -- of the log: all of the run below it is in these rows; the log has the rest
    ledgers        jsonb   NOT NULL, -- by producer: what was folded below it, see consumers/admission.py
    places         bigint  NOT NULL, -- how many rows there are
    dropped_points bigint  NOT NULL, -- that neither the log nor PostgreSQL has any more
    is_removal     boolean NOT NULL, -- it only removes what the tracker has, so that it can have the run anew
    PRIMARY KEY (tracker, run_id)
);

-- Frozen in one snapshot: what is delivered after a crash is what was begun, whatever happened to the run meanwhile.
CREATE TABLE deliveries_history_rows (
    tracker      text   NOT NULL,
    run_id       text   NOT NULL,
    place        bigint NOT NULL, -- from 0 without gaps, in the order of delivery
    event        text   NOT NULL, -- JSON, see schemas/events.py; of points without their columns
    points       int    NOT NULL, -- 0: an event; else the columns follow, as those of chunks
    min_step     bigint,
    max_step     bigint,
    min_time     bigint,
    steps        bigint[],
    times        bigint[],
    time_deltas  int[],
    point_values double precision[],
    PRIMARY KEY (tracker, run_id, place)
);
ALTER TABLE deliveries_history_rows
    ALTER COLUMN steps SET STORAGE EXTERNAL, ALTER COLUMN times SET STORAGE EXTERNAL,
    ALTER COLUMN time_deltas SET STORAGE EXTERNAL, ALTER COLUMN point_values SET STORAGE EXTERNAL,
    ALTER COLUMN steps SET STATISTICS 0, ALTER COLUMN times SET STATISTICS 0,
    ALTER COLUMN time_deltas SET STATISTICS 0, ALTER COLUMN point_values SET STATISTICS 0;

-- What a tracker did not get of a run, because nobody has it any more.
ALTER TABLE deliveries ADD COLUMN dropped_points bigint NOT NULL DEFAULT 0;

-- migrate: rollback
