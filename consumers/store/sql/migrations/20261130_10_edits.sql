-- Which named parts of a run its log deletes or renames: a tracker that cannot edit may still show them
-- depends: 20261121_12_unanswered_calls

-- migrate: apply

CREATE TABLE edits (
    run_id   text NOT NULL,
    what     text NOT NULL, -- series, param, tag, label, artifact
    name     text NOT NULL,
    new_name text NOT NULL, -- '': deleted
    PRIMARY KEY (run_id, what, name, new_name)
);

-- migrate: rollback
