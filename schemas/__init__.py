"""
The contract: events, their wire format, and the documents that people read.

gateway/ writes it, consumers/ reads it, and they share nothing else.

- `events/`: every kind of event. `values`: typed values. `columns`: columns of numbers in which NaN and infinities
  survive JSON. `bounds`: the largest names, numbers, depths and sizes that an event may have. `params`: which value of
  a parameter counts.
- `wire`: encodes an event as a Kafka record, and decodes it. CloudEvents 1.0 headers carry identity and version, so
  that a reader can route and reject without parsing; a record that cannot be decoded is a `BadRecord` with a reason.
- `subjects`: what an event is about (a run, an entry of the registry), its source and key. `metric_definitions`: which
  definition of a metric counts for a series.
- `runlog`: the run log, with the field names of Magnus. `api`: answers of the query API. `names`: the written name
  of a series.
- `statuses`: run statuses and the transitions that events cause. `facts`, `point_sums`: runs, points and params, with a
  checksum, that two systems can compare.
- `errors`: the error tree. `examples`: writes one golden record per kind; `python -m schemas export schemas` writes the
  JSON Schemas.
- `mapping/`: formats of other trackers. `runtime/`: settings, logs and probes of every process.
"""
