"""
Read and write Kafka: the topic of events, its records, offsets and watermarks.

- `reader`: reads from explicit offsets and never skips a gap. `record`: one record. `writer`: appends records.
  `topics`: creates topics.
- `record_parser`: reads a batch again, with a parser of its own, when aiokafka cannot read its header names. A batch
  that cannot be read at all (a wrong checksum) is fetched once more; then the process ends (78) and names the offset.
- `dedup`: rejects duplicates by (run, producer, seq) and remembers gaps. `watermarks`: first and next offset of
  partitions.
- `security`: TLS and SASL from settings. `retry`: repeats a call until its service is available.
"""
