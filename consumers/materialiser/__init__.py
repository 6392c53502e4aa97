"""
The stream processor: log -> fold -> PostgreSQL, each event exactly once.

- `service`: runs the process. `faust_app`: the one file with Faust; its seek is replaced, because Faust acknowledges
  more than was done: reading starts at PostgreSQL's offsets at start and at every rebalance.
- `worker`: skips what was applied, decodes, loads the stored rows of these runs, folds, and writes one
  transaction. It waits during outages; a record that cannot be decoded, or whose values PostgreSQL refuses, is parked
  alone; anything unexpected ends the process, and the supervisor restarts it.
- `gaps`: what it means that the next record does not have the next offset. If the start of the log was deleted under
  the worker, the missing offsets are named and the process ends (78), having kept what came before them.
- `strays`: copies records of a run that are in another partition than the run, after the topic got more partitions.
- `backpressure`: bounds, in bytes, what is read and not applied: while PostgreSQL is away or slow, reading pauses,
  the member stays in its group, and memory stays flat. `pace`: which records wait for more.
- `gc_tuning`: garbage collection for many short-lived objects.
- `fold/`: the pure fold. `rebuild/`: folding the log again.

A paused worker is fenced twice: PostgreSQL ends its open transaction after `GATEWAY_SESSION_TIMEOUT_MS`, so that its
successor does not wait for its locks; and the offset it would move has moved when it wakes. If Kafka goes away in a
way that ends Faust, half started or running, the process restarts itself in place and waits.
"""
