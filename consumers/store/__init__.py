"""
PostgreSQL: the only folder that knows asyncpg and SQL.

- `pool`: connections, and where asyncpg's errors become ours. `statements`: named SQL from `sql/`. `migrations`: the
  schema.
- `rows`: rows as values. `offsets`: how far consumers are. `fencing`: leases and what is refused. `dead_letters`:
  their tables.
- `write/`: what the fold writes and loads. `read/`: answers for people. `search/`: filters and pages. `codec/`:
  binary forms.
- `delivery/`: state of deliveries. `maintenance/`: rebuild, comparison, retention.

For people with a SQL tool: the views `metric_points` and `runs_overview`, and the table `consumer_offsets`.
docs/grafana-dashboard.json is a dashboard over them; a test executes its SQL.

A run is `lost` when it runs and its processes have been silent for GATEWAY_LOST_AFTER_S. No row says so, because it
depends on when one reads, and rows depend on the log alone.
"""
