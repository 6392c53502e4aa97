"""
PostgreSQL: the only folder of the consumers that uses asyncpg.

- `pool`: connections, and the translation of asyncpg's errors. `statements`: named SQL from `sql/`. `migrations`: the
  schema.
- `rows`: rows as values. `offsets`: offsets of consumers. `run_partitions`: the one partition of each run. `fencing`:
  the error of a process that was fenced. `dead_letters`: their tables. `limited`: reads of some experiments only.
- `write/`: writes and reads of the fold. `read/`: queries for people. `search/`: filters and pages. `codec/`: binary
  formats.
- `delivery/`: state of deliveries. `maintenance/`: rebuild, comparison, retention. `export/`: all rows of an export.
  `tables/`: columns of many runs. `comparison/`: of runs. `content/`: console lines and values in pages.

For people with a SQL tool: the views `metric_points` and `runs_overview`, which show what `existing_runs` has, and the
table `consumer_offsets`. docs/grafana-dashboard.json is a dashboard over them; a test executes its SQL.

A run is `lost` when it runs and its processes have been silent for GATEWAY_LOST_AFTER_S. No row holds that,
because it depends on the time of reading, and rows depend on the log alone.
"""
