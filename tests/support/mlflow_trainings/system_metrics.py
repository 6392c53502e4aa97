"""System metrics of a run, by MLflow's own thread."""

from __future__ import annotations

import time

import mlflow
from mlflow import MlflowClient


def log(name: str) -> None:
    """Open a run until it has system metrics; `name` is of the experiment."""
    mlflow.set_system_metrics_sampling_interval(0.1)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(run_name="system metrics", log_system_metrics=True) as run:
        end = time.monotonic() + 30
        while not any(key.startswith("system/") for key in MlflowClient().get_run(run.info.run_id).data.metrics):
            assert time.monotonic() < end, "no system metrics"
            time.sleep(0.05)
