"""
Metrics, health and lag of the processes that consume the log.

- `metrics`: the list of metrics, the only file with prometheus_client. `instruments`: objects to which loops report.
- `health`: pure; healthy, ready and lag in seconds. `lag`: polls the log on its own connection, so that a consumer that
  hangs still shows its lag.
"""
