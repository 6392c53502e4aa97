"""MLflow in four modes: file store, SQLite, SQLite with asynchronous logging, and a local server over HTTP."""

from __future__ import annotations

import importlib
from typing import Any

mlflow: Any = None  # the module, once loaded


def load() -> None:
    global mlflow
    mlflow = importlib.import_module("mlflow")


def start(workspace: Any) -> tuple[Any, Any, Any]:
    mlflow.set_tracking_uri(_uri(workspace))
    asynchronous = workspace.mode == "mlflow-async"
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


def _uri(workspace: Any) -> str:
    if workspace.mode == "mlflow-http":
        return f"http://{workspace.address}"
    if workspace.mode == "mlflow-file":
        return f"file://{workspace.folder}/mlruns"
    return f"sqlite:///{workspace.folder}/mlflow.db"


def read(workspace: Any) -> list[int]:
    load()
    client = mlflow.MlflowClient(_uri(workspace))
    experiment = client.get_experiment_by_name("benchmark")
    runs = client.search_runs([experiment.experiment_id], max_results=1)  # newest first
    return [metric.step for metric in client.get_metric_history(runs[0].info.run_id, "loss")]
