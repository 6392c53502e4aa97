"""
The query API: its routes, what they answer, and the stream of live messages over HTTP.

- `routes`: which path is answered by what. `runs`: runs, run logs and series. `registry/`: experiments and models.
  `charts/`: series. `saved/`: views, rules of alerts, definitions of metrics.
  `system`: health, status and schemas.
- `run_documents`: runs with their newest points, for clients that ask for many at once. `run_labels`: what labels have.
- `access/`: who may ask, logins, tokens that are limited to experiments.
- `artifacts`: the artifacts of a run, and their bytes. `export/`: downloads of any size.
- `stream`: server-sent events. `connections`: PostgreSQL, Kafka and the tail that requests share.
- `status`: the state of everything that reads the log. `shared`: one answer for all that ask the same.
- `consistency`: lets a read wait until the log is folded up to `min_offsets`, or until a producer's records are
  (`/v1/runs/{id}/received`, which `run.barrier()` polls). `fold_progress`: asks the store once for all requests that
  wait.
- `responses`, `errors`: bodies of answers and of refusals. `security_headers`: headers of every answer.
"""
