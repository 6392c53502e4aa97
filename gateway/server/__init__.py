"""
HTTP front doors to the log, for training that cannot reach Kafka: `python -m gateway.server`.

- `serve`: the web server: socket, bounds on connections and headers, orderly end, and the refusal to listen beyond
  loopback without a token. `app`: routes and the token. `ingest/`: POST /v1/events. `errors`: what senders read.
  `metrics`: counts.
- `log_writer`: hands the records of requests that arrive together to the client's own Kafka transport, and answers
  when Kafka has acknowledged them. While Kafka is away it refuses at once, so events wait in their producers'
  journals.
"""
