"""
HTTP access to the log and to the artifact store, for training that cannot reach them: `python -m gateway.server`.

- `serve`: the web server: socket, limits on connections and headers, orderly end, and the refusal to listen beyond
  loopback without a token. `app`: the application and its health. `ingest/`: POST /v1/events.
  `needs`: who may call what. `limits`: which runs tokens may write about that are limited to experiments.
  `artifacts/`: bytes of artifacts.
  `errors`: answers to refused requests. `metrics`: counts.
- `log_writer`: hands the records of requests that arrive together to the client's own Kafka transport, and answers
  when Kafka has acknowledged them. While Kafka is away it refuses at once, so events wait in their producers'
  journals.
"""
