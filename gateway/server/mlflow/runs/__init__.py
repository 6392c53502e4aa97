"""
Runs of the MLflow door: what MLflow's clients write about runs becomes events; what they read comes from the query API.

- `events`: entries of MLflow as bodies of events, divided so that each fits into a record. Pure.
- `producer`: the numbers of the events that this process writes about one run. Pure.
- `outbox`: records, sent until Kafka has them.
- `recent`: metric rows that this process wrote, so that a repeated call changes nothing. Pure.
- `stored`: those that an earlier process wrote.
- `known`: what a door must know of a run before it answers a write, read once.
- `writer`: the writer of all runs; everything in the door that writes about a run uses it.
- `lifecycle`: creating, updating, deleting and restoring runs.
- `entries`: metrics, params and tags. `races`: a param that two doors set.
- `routes`: the table of these routes.
- `history`: the points of metrics.
"""
