-- Who sent the events of a producer, where that is known: a change over HTTP is a producer of its own
-- depends: 20261203_15_alerts

-- migrate: apply

ALTER TABLE producers ADD COLUMN author text NOT NULL DEFAULT '';

-- migrate: rollback
