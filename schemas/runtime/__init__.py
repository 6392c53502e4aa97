"""
What every process of ours runs with.

- `settings`: every setting, read once in `main`. `logs`: one line an entry, text or JSON. `text`: text that is safe
  to print.
- `probes`: `/metrics`, `/healthz` and `/readyz` on a port of their own. `listener`: how the API and the ingest server
  start, end and refuse. `request_metrics`: counts of requests.
"""
