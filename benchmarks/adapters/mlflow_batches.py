"""MLflow's bulk interface as intended: log_batch with 1,000 metrics, its limit, on SQLite or PostgreSQL."""

from __future__ import annotations

import importlib
from time import time
from typing import Any

MOST = 1_000  # metrics per call
mlflow: Any = None  # the module, once loaded
_open: dict[str, Any] = {}  # client and run of this process


def load() -> None:
    global mlflow
    mlflow = importlib.import_module("mlflow")


def start(workspace: Any) -> tuple[Any, Any, Any]:
    client = mlflow.MlflowClient(_uri(workspace))
    run_id = client.create_run(client.create_experiment("benchmark")).info.run_id
    _open.update(client=client, run_id=run_id)
    waiting: list[Any] = []

    def many(values: dict[str, float], step: int) -> None:
        now = int(time() * 1_000)
        waiting.extend(mlflow.entities.Metric(name, value, now, step) for name, value in values.items())
        if len(waiting) >= MOST:
            flush()

    def flush() -> None:
        for first in range(0, len(waiting), MOST):
            client.log_batch(run_id, metrics=waiting[first : first + MOST])
        waiting.clear()

    def finish() -> None:
        flush()
        client.set_terminated(run_id)

    return None, many, finish


def _uri(workspace: Any) -> str:
    if workspace.address:  # without the name of a driver SQLAlchemy picks its default, installed or not
        return str(workspace.address).replace("postgresql://", "postgresql+psycopg2://", 1)
    return f"sqlite:///{workspace.folder}/mlflow.db"


def count(workspace: Any, names: tuple[str, ...]) -> int:
    return sum(len(_open["client"].get_metric_history(_open["run_id"], name)) for name in names)
