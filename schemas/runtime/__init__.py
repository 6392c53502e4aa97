"""
What all our processes share.

- `settings`: all settings, read once in `main`. `logs`: one line per entry, text or JSON. `text`: text that is safe to
  print. `terminal`: printing it.
- `probes`: `/metrics`, `/healthz` and `/readyz` on a separate port. `listener`: start and end of the API and the
  ingest server. `request_metrics`: counts of requests. `access`: who may send them. `proxies`: none between us and
  this machine.
"""
