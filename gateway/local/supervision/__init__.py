"""
Start, supervise and end the processes of the embedded stack.

- `supervisor`: the process that owns every other. `services`: the services and their order.
- `child`: one service: restarted with back-off when it dies; given up when it dies five times in a minute or reports
  that a restart cannot help (exit status 78); retried when `gateway up` is called again (SIGHUP).
- `process`, `launch`: start a child that ends with its parent. `orphans`: survivors of a killed supervisor.
  `metrics`: counts.
"""
