-- The order in which alerts fired and were resolved, for those who follow them
-- depends: 20261203_15_alerts

-- migrate: apply

CREATE SEQUENCE alert_changes;
ALTER TABLE alerts ADD COLUMN changed bigint NOT NULL DEFAULT nextval('alert_changes');
ALTER SEQUENCE alert_changes OWNED BY alerts.changed;
CREATE INDEX alerts_changed ON alerts (changed);

-- migrate: rollback
