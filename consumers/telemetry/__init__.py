"""
Metrics, health and lag of the processes that consume the log.

- `metrics`: the list of metrics, and the one file with prometheus_client. `instruments`: what the loops report.
- `health`: pure; what is alive, ready and late. `lag`: asks the log over its own connection, so that a consumer that
  hangs still shows its lag.
"""
