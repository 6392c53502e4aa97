"""
What the door does not serve itself: MLflow's pages and the rest of its API, forwarded to a stock MLflow server.

That server reads and writes through the store plug-ins (gateway/dialects/mlflow), so through this door, below `/store`.

- `catch_all`: the route of every other path: forwards, or says why not.
- `proxy`: one request and its answer; the answer is streamed. `headers`: which headers go along.
- `ui_server`: the stock server as a child of the door, started by the first request that needs it.
"""
