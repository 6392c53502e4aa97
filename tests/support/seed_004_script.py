"""
The code of seed 004, block by block and unchanged, with MLflow's own client: `python seed_004_script.py FOLDER`.

MLFLOW_TRACKING_URI names the server. Names that the document uses and does not define are defined here. Two things of
the document cannot run as they are: the address http://localhost:5000 is that of the server here, and
`client.list_experiments()`, which MLflow 2 removed, is `client.search_experiments()`. Prints what each block printed,
what it raised, and what the client reads back.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib
import mlflow
import mlflow.sklearn
from mlflow.tracking import MlflowClient
from sklearn.linear_model import LogisticRegression

matplotlib.use("Agg")
# What a model needs is found by loading it in a process of its own, 5 s of a core; it does not reach the server.
mlflow.models.infer_pip_requirements = lambda uri, flavor, fallback, **_: fallback
BLOCKS = json.loads((Path(__file__).parent / "seed_004_code.json").read_text(encoding="utf-8"))
X, Y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
DOCUMENT_URL = "http://localhost:5000"
MODERN = {"client.list_experiments()": "client.search_experiments()"}  # removed in MLflow 2.0
RUN_OF = {  # a section, and the section whose run it is about; others are about the run before
    "Parameters: Querying Parameters": "MLflow Tracking Basics: What Gets Tracked",
    "Metrics: Query Metrics": "Metrics: Logging Metrics",
    "Artifacts: Download Artifacts": "Artifacts: Log Files",
    "Debugging Failed Runs: View Artifacts for Clues": "Artifacts: Log Files",
}
STAGING = 'stage="Staging"  # or "Production"'


def main(folder: Path) -> None:
    """Execute all blocks in order, in one namespace, as a reader of the document would type them."""
    os.chdir(folder)
    _files()
    names: dict[str, Any] = {
        "train_epoch": lambda epoch=0: 1 / (epoch + 1), "validate": lambda epoch: 2 / (epoch + 1), "pickle": pickle,
        "model": LogisticRegression().fit(X, Y), "data": [3, 2, 1], "X_test": [[0.0], [3.0]],
    }  # fmt: skip
    seen: list[dict[str, Any]] = []
    for block in BLOCKS:
        _prepare(names, block["section"], {one["section"]: one["run_id"] for one in seen})
        code = block["code"].replace(DOCUMENT_URL, mlflow.get_tracking_uri())
        seen.append(_executed(block["section"], code, names))
        for old, modern in MODERN.items():
            if old in code:
                seen.append(_executed(f"{block['section']}, in MLflow 3", code.replace(old, modern), names))
        if STAGING in code:
            seen.append(_executed("production", code.replace(STAGING, 'stage="Production"'), names))
        if block["section"].endswith("Log Directories"):
            mlflow.end_run()  # log_artifacts outside of a run starts one
    sys.stdout.write(json.dumps({"blocks": seen, "read": _read(names), "filters": _filters()}) + "\n")


def _files() -> None:
    Path("model.pkl").write_bytes(b"a model")
    for folder, name in (("models", "a.txt"), ("plots", "b.png")):
        Path(folder).mkdir()
        Path(folder, name).write_text(name)


def _prepare(names: dict[str, Any], section: str, runs: dict[str, str]) -> None:
    """Define what a block of this section expects: the run or experiment that the document speaks of."""
    client = MlflowClient()
    last = mlflow.last_active_run()
    if last is not None:
        names["run_id"] = runs.get(RUN_OF.get(section, ""), last.info.run_id)
    if section.endswith("Delete Experiment"):
        names["experiment_id"] = client.get_experiment_by_name("my_experiment").experiment_id
    if section.startswith("Comparing"):
        with mlflow.start_run(run_name="other"):
            mlflow.log_param("model", "rf")
            mlflow.log_metric("accuracy", 0.97)
        names["run_id_1"] = client.search_runs(["0"])[0].info.run_id
        names["run_id_2"] = mlflow.last_active_run().info.run_id
    if section.endswith("Check Run Status"):
        try:
            with mlflow.start_run(run_name="failed"):
                raise ValueError("no data")
        except ValueError:
            names["run_id"] = mlflow.last_active_run().info.run_id


def _executed(section: str, code: str, names: dict[str, Any]) -> dict[str, Any]:
    printed, error = io.StringIO(), None
    with redirect_stdout(printed):
        try:
            exec(compile(code, section, "exec"), names)
        except Exception as raised:  # noqa: BLE001 - a test shows it
            error = f"{type(raised).__name__}: {raised}"
    run = mlflow.last_active_run()
    return {"section": section, "printed": printed.getvalue().splitlines(), "error": error,
            "run_id": run.info.run_id if run else None}  # fmt: skip


def _filters() -> dict[str, Any]:
    """Return the names of the runs that each filter of the document finds, or the error."""
    (block,) = [one["code"] for one in BLOCKS if one["section"].endswith("Filter String Syntax")]
    experiments = [one.experiment_id for one in MlflowClient().search_experiments()]
    found: dict[str, Any] = {}
    for line in block.splitlines():
        if line.startswith('"'):
            text = line.strip('"')
            try:
                runs = MlflowClient().search_runs(experiments, text)
                found[text] = sorted(run.data.metrics.get("accuracy", -1) for run in runs)
            except mlflow.MlflowException as refused:
                found[text] = refused.error_code
    return found


def _read(names: dict[str, Any]) -> dict[str, Any]:
    """Return what the client reads of the experiments and runs."""
    client = MlflowClient()
    return {
        "experiments": sorted(one.name for one in client.search_experiments()),
        "predictions": [int(one) for one in names["predictions"]],
        "compared": [[run.data.params.get("model"), run.data.metrics["accuracy"]]
                     for run in (names["run1"], names["run2"])],
        "versions": [[str(one.version), one.current_stage, one.status]
                     for one in client.search_model_versions("name = 'iris_classifier'")],
    }  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
