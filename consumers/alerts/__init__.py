"""
Alerts: evaluate rules on the log, and tell people (docs/alerts.md).

- `evaluator/`: pure: what fires. `service`: the process: connections, lease, outages. `consumer`: reads, evaluates and
  commits. `rulebook`: the rules of the collection as they are now. `sending/`: the outbox and its targets.
- `backtest`: when a rule would have fired. `yaml_file`: files that people write.
"""
