"""
The MLflow door: MLflow's own clients write to the log and read from it, by MLFLOW_TRACKING_URI alone (seed 004).

Its REST API is that of MLflow 3.17 (mlflow/protos/*.proto, mlflow/server/handlers.py). A write becomes events in the
log and is answered when Kafka has them; a read asks the query API, at least as new as what this door wrote.

- `__main__`, `app`: the process and its application. `door`: what all handlers share.
- `needs`: the table of who may call what. `caller`: the sender of a request whose token is limited to experiments.
- `routing`: the table of routes, each with a message of MLflow and a handler. `errors`: MLflow's error answers.
- `protobuf`: requests as messages of MLflow; imports mlflow. `reading`: the query API, asked by this process.
- `requests`: a request about the registry, and what became of it. `unanswered`: what repeated calls made already.
- `run_json`: a run as MLflow shows it.
- `experiments`: experiments, and which one a new run is in. `registry`: registered models and versions.
- `logged_models`: models that trainings store, before anyone gives them a version. `search`: filters and orders.
- `artifacts`: bytes in and out, and lists of them.
- `server_info`: what a client asks about the server itself. `empty_pages`: what the door does not keep.
"""
