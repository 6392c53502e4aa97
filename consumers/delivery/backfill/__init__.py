"""
Runs whose records partition offsets have passed: re-read them from the log, or backfill them from PostgreSQL.

- `reread`: which runs must be re-read: retried ones, and those that a replay selected. `catch_up`: reads the log a
  second time for them; when both readers are at the same offset, it hands them over.
- `history`: runs whose first records Kafka has deleted (`runs.first_offset` says where each one began). One snapshot
  has a run's rows and the materialiser's offset, which were committed together; `consumers/store/delivery/history.py`
  freezes them as rows in delivery order. The rows use the same queues, calls and checkpoints as records of the log: a
  position in a history is an offset above all offsets of a log, and always gives the same envelope with the same
  number. What happens to the run in the meantime is in the log, from the snapshot's offset on. When everything is
  delivered, one transaction sets the run's checkpoint to that offset, with the numbers folded for each producer, and
  delivery continues in the log: nothing is missing, nothing twice, and copies of old records are recognised.
- `history_events`: turns the rows back into events.
"""
