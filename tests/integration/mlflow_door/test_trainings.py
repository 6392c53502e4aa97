"""
Real trainings with MLflow's client and autolog, once at a stock server and once at the door: both hold the same.

Params, metric histories with steps and given timestamps, tags, datasets, artifacts with their bytes, logged and
registered models, and the status of each run are equal, but for ids, clocks and addresses (`holdings`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.dialect_stack import ROOT
from tests.support.mlflow_door import MlflowDoor
from tests.support.mlflow_service import MlflowServer

SETTINGS = {
    "PYTHONPATH": str(ROOT),
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "OMP_NUM_THREADS": "1",
}


def _hold_the_same(
    folder: Path, door: MlflowDoor, stock: MlflowServer, trainings: Sequence[str], **settings: str
) -> dict[str, Any]:
    """Run trainings at both servers at once, in a process each; return what the door holds."""
    command = [sys.executable, "-m", "tests.support.mlflow_trainings"]
    servers = {"stock": stock.url, "door": door.url}
    children = {
        name: subprocess.Popen(
            [*command, str(folder / name), folder.name, *trainings],
            env={**os.environ, **SETTINGS, **settings, "MLFLOW_TRACKING_URI": url, "HOME": str(folder)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name, url in servers.items()
    }  # fmt: skip
    said = {name: child.communicate()[0] for name, child in children.items()}
    for name, child in children.items():
        assert child.returncode == 0, f"{name}: {said[name][-5_000:]}"
    there, here = (json.loads((folder / name).read_bytes()) for name in servers)
    assert list(_differences("", there, here)) == []
    return dict(here)


def _differences(at: str, there: Any, here: Any) -> Any:
    """Yield where two JSON values differ: what stock has, what the door has."""
    if isinstance(there, dict) and isinstance(here, dict):
        for name in sorted({*there, *here}):
            yield from _differences(f"{at}.{name}", there.get(name, "absent"), here.get(name, "absent"))
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for number, pair in enumerate(zip(there, here, strict=True)):
            yield from _differences(f"{at}[{number}]", *pair)
    elif there != here:
        yield at, there, here


def test_scikit_learn_and_every_call_that_logs(tmp_path: Path, door: MlflowDoor, stock: MlflowServer) -> None:
    held = _hold_the_same(tmp_path, door, stock, ["calls", "scikit_learn"])
    assert len(held["runs"]) == 17
    assert [one["stage"] for one in held["registered"]] == ["Production"]
    assert any(len(run["metrics"].get("batch", [])) == 1_000 for run in held["runs"])


@pytest.mark.slow
def test_xgboost_lightgbm_keras_and_system_metrics(tmp_path: Path, door: MlflowDoor, stock: MlflowServer) -> None:
    trainings = ["scikit_learn", "boosting", "keras_training", "system_metrics"]
    held = _hold_the_same(tmp_path, door, stock, trainings, MLFLOW_TRAININGS_MODELS="1")
    assert len(held["models"]) == 8
