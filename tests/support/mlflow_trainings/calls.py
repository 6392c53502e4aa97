"""The calls of MLflow's fluent API that log files, tables, datasets, nested runs, and metrics in the background."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

TIME = 1_700_000_000_000  # ms


def log(name: str) -> None:
    """Log with each of them; `name` is of the experiment."""
    with mlflow.start_run(run_name="files", description="every kind of file", tags={"team": "ü"}):
        _files()
    with mlflow.start_run(run_name="data"):
        _data()
    with mlflow.start_run(run_name="parent"):
        mlflow.log_params({"lr": 0.1, "layers": [1, 2], "nothing": None, "long": "x" * 6_000})
        for depth in (1, 2):
            with mlflow.start_run(run_name=f"child {depth}", nested=True):
                mlflow.log_metrics({"depth": depth, "loss": 1 / depth}, step=depth, timestamp=TIME + depth)
                with mlflow.start_run(run_name=f"grandchild {depth}", nested=True):
                    mlflow.set_tag("deep", "yes")
    _points()
    _resumed()
    _failed()


def _files() -> None:
    figure, axes = plt.subplots(figsize=(2, 2))
    axes.plot([0, 1], [1, 0])
    mlflow.log_figure(figure, "plots/loss.png")
    plt.close(figure)
    mlflow.log_image(np.zeros((4, 4, 3), dtype=np.uint8), artifact_file="images/black.png")
    mlflow.log_dict({"a": [1, 2.5, None], "ü": "€"}, "config.json")
    mlflow.log_dict({"a": {"b": 1}}, "config.yaml")
    mlflow.log_text("all went well\n", "notes/über uns.txt")
    mlflow.log_text("", "empty.txt")
    mlflow.log_text("<script>alert(1)</script>", "page.html")
    mlflow.log_table({"step": [0, 1], "loss": [0.5, 0.4]}, "losses.json")
    mlflow.log_table({"step": [2], "loss": [0.3]}, "losses.json")
    assert mlflow.load_table("losses.json")["loss"].round(3).tolist() == [0.5, 0.4, 0.3]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "data.bin").write_bytes(bytes(range(256)) * 5_000)
        (folder / "top.csv").write_text("a,b\n1,2\n")
        mlflow.log_artifacts(name, "folder")
        mlflow.log_artifact(str(folder / "top.csv"))
        mlflow.log_artifact(str(folder / "deep"), "again")


def _data() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    made = mlflow.data.from_pandas(frame, source="https://data.example/a.csv", name="small", targets="y")
    mlflow.log_input(made, context="training", tags={"split": "train"})
    mlflow.log_input(mlflow.data.from_numpy(np.arange(6.0).reshape(3, 2), name="array"), context="eval")
    mlflow.log_metric("accuracy", 0.5, step=3, timestamp=TIME, dataset=made)


def _points() -> None:
    client = MlflowClient()
    with mlflow.start_run(run_name="points") as run:
        for step in range(20):
            mlflow.log_metric("loss", 1 / (step + 1), step=step, timestamp=TIME + step)
        for value in (math.nan, math.inf, -math.inf):
            mlflow.log_metric("odd", value, step=-1, timestamp=TIME)
        mlflow.log_metric("latest", 2.0, step=5, timestamp=TIME)
        mlflow.log_metric("latest", 1.0, step=1, timestamp=TIME + 9)
        waits = [mlflow.log_metric("async", step, step=step, timestamp=TIME, synchronous=False) for step in range(50)]
        waits.append(mlflow.log_params({"in background": 1}, synchronous=False))
        waits.append(mlflow.set_tags({"in background": "yes"}, synchronous=False))
        for one in waits:
            one.wait()
        metrics = [Metric("batch", float(step), TIME + step, step) for step in range(1_000)]
        client.log_batch(run.info.run_id, metrics=metrics)
        client.log_batch(run.info.run_id, params=[Param("p", "1")], tags=[RunTag("t", "1"), RunTag("t", "2")])
        client.set_tag(run.info.run_id, "gone", "1")
        client.delete_tag(run.info.run_id, "gone")


def _resumed() -> None:
    with mlflow.start_run(run_name="resumed") as run:
        mlflow.log_metric("loss", 1.0, step=0, timestamp=TIME)
    with mlflow.start_run(run_id=run.info.run_id):
        mlflow.log_metric("loss", 0.5, step=1, timestamp=TIME + 1)
        mlflow.log_param("second", "yes")


def _failed() -> None:
    try:
        with mlflow.start_run(run_name="failed"):
            mlflow.log_param("p", 1)
            raise ArithmeticError("diverged")
    except ArithmeticError:
        pass
    with mlflow.start_run(run_name="killed") as run:
        pass
    MlflowClient().set_terminated(run.info.run_id, "KILLED")
