-- Alerts. The alerts process is the only one that writes, except for mutes.

-- name: load_alert_runs
SELECT run_id, partition, facts, progress FROM alert_runs WHERE run_id = ANY ($1::text[]);

-- name: load_alert_series
SELECT run_id, series, state FROM alert_series WHERE run_id = ANY ($1::text[]);

-- name: open_alert_runs
-- A page of the runs for which a rule may fire without a record.
SELECT run_id FROM alert_runs WHERE open AND run_id > $1 ORDER BY run_id LIMIT $2;

-- name: save_alert_facts
INSERT INTO alert_runs (run_id, partition, facts, progress, open)
SELECT run_id, partition, facts::json, progress::json, open
FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::boolean[]) AS given (run_id, partition, facts, progress, open)
ON CONFLICT (run_id) DO UPDATE SET facts = excluded.facts, progress = excluded.progress, open = excluded.open;

-- name: save_alert_progress
-- Of runs that have a row. The facts, which may be long, stay where they are.
UPDATE alert_runs AS kept SET progress = given.progress::json, open = given.open
FROM unnest($1::text[], $2::text[], $3::boolean[]) AS given (run_id, progress, open) WHERE kept.run_id = given.run_id;

-- name: save_alert_series
INSERT INTO alert_series (run_id, series_id, series, state)
SELECT run_id, series_id, series, state::json
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) AS given (run_id, series_id, series, state)
ON CONFLICT (run_id, series_id) DO UPDATE SET state = excluded.state;

-- name: forget_alert_series
DELETE FROM alert_series AS kept USING unnest($1::text[], $2::uuid[]) AS given (run_id, series_id)
WHERE kept.run_id = given.run_id AND kept.series_id = given.series_id;

-- name: save_firings
INSERT INTO alerts (alert_id, rule_id, version, name, severity, targets, run_id, series, fired, step, value, message, muted)
SELECT g.alert_id, g.rule_id, g.version, g.name, g.severity,
       ARRAY(SELECT json_array_elements_text(g.targets::json)), g.run_id, g.series, g.fired, g.step, g.value, g.message,
       EXISTS (SELECT FROM alert_mutes m
               WHERE m.rule_id = g.rule_id AND m.run_id IN ('', g.run_id) AND m.until > now())
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::bigint[], $10::bigint[], $11::float8[], $12::text[])
     AS g (alert_id, rule_id, version, name, severity, targets, run_id, series, fired, step, value, message)
ON CONFLICT DO NOTHING;

-- name: resolve_firings
UPDATE alerts AS kept SET resolved = g.resolved, resolution = g.resolution, changed = nextval('alert_changes')
FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS g (alert_id, resolved, resolution)
WHERE kept.alert_id = g.alert_id AND kept.resolved IS NULL;

-- name: resolve_other_rules
-- Resolve what rules fired that are gone, disabled or have a newer version: $1 and $2 are those that are evaluated.
UPDATE alerts SET resolved = $3::bigint, resolution = 'the rule was changed, disabled or deleted',
    changed = nextval('alert_changes')
WHERE resolved IS NULL AND rule_id NOT LIKE 'alarm/%'
  AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::bigint[]) AS g (rule_id, version)
                  WHERE g.rule_id = alerts.rule_id AND g.version = alerts.version)
RETURNING alert_id;

-- name: hold_alert_offsets
-- Those of these partitions ($3) at which this process stands ($4); no process moves them before the transaction ends.
SELECT kept.partition FROM consumer_offsets kept JOIN unnest($3::int[], $4::bigint[]) AS at (partition, next_offset)
    USING (partition, next_offset)
WHERE kept.consumer = $1 AND kept.topic = $2 ORDER BY kept.partition FOR SHARE OF kept;

-- name: fill_outbox
-- A message for each target of these alerts, unless they are muted.
INSERT INTO alert_outbox (delivery_id, alert_id, target, event)
SELECT md5(concat_ws(' ', a.alert_id, g.event, t.target))::uuid, a.alert_id, t.target, g.event
FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS g (alert_id, event, place)
JOIN alerts a USING (alert_id)
CROSS JOIN LATERAL unnest(CASE WHEN a.targets = '{}' THEN $3::text[] ELSE a.targets END) AS t (target)
WHERE NOT a.muted ORDER BY g.place
ON CONFLICT DO NOTHING;

-- name: rules_stamp
-- Changes whenever a rule is saved or deleted.
SELECT concat_ws(' ', count(*), sum(version), count(*) FILTER (WHERE deleted)) FROM saved_items
WHERE collection = 'alert_rules';

-- name: load_alert_rules
SELECT i.item_id, i.version, v.name, v.body, v.enabled, v.time, v.description
FROM saved_items i JOIN saved_versions v USING (collection, item_id, version)
WHERE collection = 'alert_rules' AND NOT i.deleted ORDER BY i.item_id COLLATE "C";

-- name: all_experiment_names
SELECT experiment_id, name FROM experiments;

-- name: waiting_messages
-- Those whose time has come, and nothing that would overtake an earlier message about the same alert.
SELECT o.number, o.delivery_id, o.event, o.attempts, o.created, a.alert_id, a.rule_id, a.version, a.name, a.severity,
       a.run_id, a.series, a.fired, a.resolved, a.step, a.value, a.message, a.resolution
FROM alert_outbox o JOIN alerts a USING (alert_id)
WHERE o.target = $1 AND o.state = 'waiting' AND o.next_try <= now()
  AND NOT EXISTS (SELECT FROM alert_outbox e WHERE e.alert_id = o.alert_id AND e.target = $1 AND e.state = 'waiting'
                  AND e.number < o.number AND e.next_try > now())
ORDER BY o.number LIMIT $2;

-- name: message_sent
UPDATE alert_outbox SET state = 'sent', attempts = attempts + 1, error = '' WHERE number = $1;

-- name: message_failed
-- Try again in $3 seconds; NULL: give up.
UPDATE alert_outbox SET attempts = attempts + 1, error = $2,
    state = CASE WHEN $3::float8 IS NULL THEN 'given_up' ELSE state END,
    next_try = now() + make_interval(secs => coalesce($3::float8, 0))
WHERE number = $1;

-- name: refuse_unknown_targets
UPDATE alert_outbox SET state = 'given_up', error = 'no target has this name: see gateway alerts targets'
WHERE state = 'waiting' AND target <> ALL ($1::text[]);

-- name: shorten_outbox
-- Forget messages that were sent, or given up, over a week ago.
DELETE FROM alert_outbox WHERE state <> 'waiting' AND created < now() - interval '7 days';

-- name: shorten_alerts
-- Delete alerts that were stored and resolved over $1 days ago, unless a message about them waits.
DELETE FROM alerts WHERE alert_id IN (
    SELECT alert_id FROM alerts a
    WHERE resolved IS NOT NULL AND stored < now() - make_interval(secs => $1::float8 * 86400)
      AND to_timestamp(least(resolved, 253402300799000000) / 1e6) < now() - make_interval(secs => $1::float8 * 86400)
      AND NOT EXISTS (SELECT FROM alert_outbox o WHERE o.alert_id = a.alert_id AND o.state = 'waiting')
    LIMIT 100000
);

-- name: shorten_mutes
DELETE FROM alert_mutes WHERE until < now();

-- name: count_outbox
SELECT target, state, count(*) AS messages, max(error) FILTER (WHERE state <> 'sent') AS error FROM alert_outbox
GROUP BY target, state;

-- name: list_alerts
-- Newest first, after a position; $1: whether resolved, NULL: both.
SELECT alert_id, rule_id, version, name, severity, run_id, series, fired, resolved, step, value, message, resolution,
       muted, targets
FROM alerts
WHERE ($1::boolean IS NULL OR (resolved IS NOT NULL) = $1) AND ($2::text IS NULL OR run_id = $2)
  AND ($3::text IS NULL OR rule_id = $3) AND ($4::bigint IS NULL OR fired >= $4)
  AND ($5::bigint IS NULL OR (fired, alert_id) < ($5, $6::uuid))
ORDER BY fired DESC, alert_id DESC LIMIT $7;

-- name: changed_alerts
-- In the order of their last changes; the alerts process commits them one after the other.
SELECT changed, alert_id, rule_id, version, name, severity, run_id, series, fired, resolved, step, value, message,
       resolution, muted, targets
FROM alerts WHERE changed > $1 ORDER BY changed LIMIT $2;

-- name: newest_alert_change
SELECT coalesce(max(changed), 0) FROM alerts;

-- name: count_firing
SELECT rule_id, count(*) AS firing FROM alerts WHERE resolved IS NULL GROUP BY rule_id;

-- name: mute_alerts
-- For $3 seconds; NULL: until it is removed.
INSERT INTO alert_mutes (rule_id, run_id, until)
VALUES ($1, $2, CASE WHEN $3::float8 IS NULL THEN 'infinity' ELSE now() + make_interval(secs => $3::float8) END)
ON CONFLICT (rule_id, run_id) DO UPDATE SET until = excluded.until;

-- name: unmute_alerts
DELETE FROM alert_mutes WHERE rule_id = $1 AND ($2::text IS NULL OR run_id = $2) RETURNING run_id;

-- name: list_mutes
SELECT rule_id, run_id, nullif(until, 'infinity') AS until FROM alert_mutes WHERE until > now() ORDER BY rule_id, run_id;
