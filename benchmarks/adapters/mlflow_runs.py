"""MLflow in four modes: file store, SQLite, SQLite with asynchronous logging, and a local server over HTTP."""

from __future__ import annotations

import importlib
from typing import Any

mlflow: Any = None  # the module, once loaded


def load() -> None:
    global mlflow
    mlflow = importlib.import_module("mlflow")


def start(place: Any) -> tuple[Any, Any, Any]:
    mlflow.set_tracking_uri(_uri(place))
    asynchronous = place.mode == "mlflow-async"
    if asynchronous:
        mlflow.config.enable_async_logging(True)
    if mlflow.active_run() is None:
        mlflow.set_experiment("benchmark")
    mlflow.start_run()

    def finish() -> None:
        if asynchronous:
            mlflow.flush_async_logging()
        mlflow.end_run()

    return mlflow.log_metric, mlflow.log_metrics, finish


def _uri(place: Any) -> str:
    if place.mode == "mlflow-http":
        return f"http://{place.address}"
    if place.mode == "mlflow-file":
        return f"file://{place.folder}/mlruns"
    return f"sqlite:///{place.folder}/mlflow.db"


def read(place: Any) -> list[int]:
    load()
    client = mlflow.MlflowClient(_uri(place))
    experiment = client.get_experiment_by_name("benchmark")
    runs = client.search_runs([experiment.experiment_id], max_results=1)  # newest first
    return [metric.step for metric in client.get_metric_history(runs[0].info.run_id, "loss")]
