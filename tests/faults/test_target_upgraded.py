"""
A tracker's database is upgraded to a new release while eight trainings go on; none of them notices, nothing is lost.

The trainings use MLflow's own client and write through the door. The MLflow server that their runs are delivered to is
of an older release; it is stopped, its database upgraded with `mlflow db upgrade`, and the present release started.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, Any

import pytest

from gateway.local.command import Command
from gateway.local.supervision.process import spawn
from tests.support import services, side_packages
from tests.support.delivery_process import delivery
from tests.support.dialect_stack import dialect_stack
from tests.support.mlflow_door import mlflow_door
from tests.support.mlflow_service import MlflowServer
from tests.support.process_tree import until
from tests.support.verify_command import verify

TRAININGS, STEPS_BETWEEN = 8, 5
# Logs one step after another until it learns to stop; each step is written down once its call has returned.
SCRIPT = """
import json, pathlib, sys, time
import mlflow

number, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
mlflow.set_experiment("upgrade")
slowest, step = 0.0, 0
with mlflow.start_run(run_name=f"training-{number}") as run:
    mlflow.log_params({"lr": 0.1 * number, "layers": number})
    while not (folder / "stop").exists():
        begun = time.monotonic()
        mlflow.log_metrics({"loss": 1.0 / (step + 1), "accuracy": step / (step + 1)}, step=step)
        slowest = max(slowest, time.monotonic() - begun)
        step += 1
        (folder / f"steps-{number}").write_text(str(step))
        time.sleep(0.02)
    mlflow.set_tag("steps", step)
print(json.dumps({"run": run.info.run_id, "steps": step, "slowest_s": slowest}))
"""


class UpgradedServer(MlflowServer):
    """A server that begins with an older release, and continues with the present one on its upgraded database."""

    def __init__(self, folder: Path, older: Path) -> None:
        super().__init__(folder)
        self._folder, self._older, self.is_old = folder, older, True

    def start(self) -> None:
        """Start the release of the moment, on tables of its own: those that tests share are of the present one."""
        self.launch()

    def command(self, folder: Path, port: int) -> Command:
        found = super().command(folder, port)
        return found._replace(env={**found.env, "PYTHONPATH": str(self._older) if self.is_old else ""})

    def begin(self, command: Command, log: IO[bytes]) -> subprocess.Popen[bytes]:
        return spawn(command, log)

    def version(self) -> str:
        """Return the version of the tables."""
        with closing(sqlite3.connect(self.database)) as connection:
            return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])

    def upgrade(self) -> None:
        """Upgrade the database to the present release."""
        command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{self.database}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": ""})
        assert done.returncode == 0, done.stderr
        self.is_old = False


@pytest.mark.slow
def test_a_tracker_is_upgraded_under_eight_trainings(
    kafka: str, postgres_server: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = UpgradedServer(tmp_path, side_packages.installed("mlflow-3.12", tmp_path_factory))
    script = tmp_path / "training.py"
    script.write_text(SCRIPT)

    def steps() -> list[int]:
        return [_steps(tmp_path, number) for number in range(TRAININGS)]

    with ExitStack() as parts:
        stack = parts.enter_context(dialect_stack(kafka, postgres_server, tmp_path / "stack"))
        door = parts.enter_context(mlflow_door(stack))
        target.start()
        parts.callback(target.stop)
        place = stack.place._replace(mlflow_url=target.url)
        parts.enter_context(delivery(place, "mlflow"))
        environment = os.environ | {"MLFLOW_TRACKING_URI": door.url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        trainings = [
            subprocess.Popen(
                [sys.executable, str(script), str(number), str(tmp_path)],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for number in range(TRAININGS)
        ]  # fmt: skip
        try:
            until(lambda: min(steps()) > STEPS_BETWEEN, "each training is at work")
            target.stop()
            before = steps()
            versions = [target.version()]
            target.upgrade()
            versions.append(target.version())
            until_further(steps, before)
            target.start()
            until_further(steps, steps())
            (tmp_path / "stop").touch()
            results = [_result(training) for training in trainings]
        finally:
            for training in trainings:
                training.kill()
                training.wait()
        for one in results:
            stack.until(one["run"], lambda log: log["state"] == "finished", "the run is folded")
        checked = services.run(verify(place, "--wait", "100", "--to", "mlflow"))
        assert checked.status == 0, checked.out + checked.err
    told = {"trainings": results, "versions of the tables": versions, "verify": checked.facts}
    sys.stdout.write(json.dumps(told, indent=2))
    assert versions[0] != versions[1]
    assert sum(one["steps"] for one in results) == sum(steps())


def until_further(steps: Callable[[], list[int]], since: list[int]) -> None:
    """Return when each training has logged some more steps."""
    until(lambda: all(now > then + STEPS_BETWEEN for now, then in zip(steps(), since, strict=True)), "all go on")


def _steps(folder: Path, number: int) -> int:
    file = folder / f"steps-{number}"
    return int(file.read_text() or 0) if file.exists() else 0


def _result(training: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = training.communicate(timeout=120)
    assert training.returncode == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found
