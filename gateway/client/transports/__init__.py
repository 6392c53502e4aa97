"""
Ways to the log.

- `transport`: the protocol, and what a log refuses. `factory`: which transport an address needs.
- `kafka_transport`: the one file with aiokafka: idempotent producer, `acks=all`, zstd. `http_transport`: the same
  records to the ingest server, one request at a time on a kept connection, with the standard library alone.
"""
