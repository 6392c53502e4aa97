"""Pipelines of magnus 0.5.1 in processes of their own, and what PostgreSQL has of them afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from consumers.log.record import Record
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from consumers.store.read.reader import StoreReader
from schemas.runlog import RunLog
from tests.support.client_harness import raw_log
from tests.support.side_packages import environment

PIPELINES = Path(__file__).with_name("magnus_pipelines")
REMOTE = "https://example.org/pipelines.git"
TIMEOUT_S = 120.0
CONFIGURATION = """
run_log_store: {type: %s}
experiment_tracker: {type: gateway}
executor: {type: local, config: {enable_parallel: %s}}
"""
JOB = """
run_log_store: {type: file-system}
experiment_tracker: {type: gateway}
executor: {type: argo, config: {image: any, output_file: job-pipeline.yaml}}
"""


class Magnus:
    """A folder of pipelines, and the installation of magnus that executes them."""

    def __init__(self, folder: Path, packages: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        shutil.copytree(PIPELINES, folder, dirs_exist_ok=True)
        (folder / "parameters.yaml").write_text("chunks: [1, 2]\n")
        (folder / "job.yaml").write_text(JOB)
        (folder / ".gitignore").write_text("*\n!*.py\n")
        for command in ("init -q", "add .", "commit -qm pipelines", f"remote add origin {REMOTE}"):
            identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
            subprocess.run(["git", *identity, *command.split()], cwd=folder, check=True, capture_output=True)
        (folder / "config.yaml").write_text(CONFIGURATION % ("file-system", "false"))
        (folder / "at-once.yaml").write_text(CONFIGURATION % ("chunked-fs", "true"))
        self._packages = packages
        self._variables = dict(variables)

    def python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the folder and return what it wrote."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=environment(self._packages, self.folder, **{**self._variables, **variables}),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def pipelines(self, configuration: str, names: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Execute pipelines by the SDK, one after the other in one process."""
        return self.python("pipelines.py", configuration, *names)

    def execute(
        self, definition: str, run_id: str, configuration: str = "config.yaml", *more: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Execute a pipeline by the command of magnus."""
        command = ["-c", "from magnus.cli import cli; cli()", "execute", "-f", definition, "-c", configuration]
        return self.python(*command, "--run-id", run_id, "--tag", "exp-a", "-p", "parameters.yaml", *more, **variables)

    def execute_step(self, definition: str, run_id: str, step: str) -> subprocess.CompletedProcess[str]:
        """Execute one step in a process of its own, as a container of an orchestrator does."""
        command = ["-c", "from magnus.cli import cli; cli()", "execute_single_node", run_id, step, "-f", definition]
        return self.python(*command, "-c", "job.yaml", "--tag", "exp-a", "-p", "parameters.yaml")

    def written(self, run_id: str) -> dict[str, Any]:
        """Return the run log that Magnus wrote into its own file. It may hold NaN, which is no JSON."""
        found: dict[str, Any] = json.loads((self.folder / ".run_log_store" / f"{run_id}.json").read_text())
        return found


async def fold_log(kafka: str, topic: str, database: str) -> dict[str, RunLog]:
    """Fold the whole log into an empty database and return the run log of every run, by id."""
    store = await open_database(database)
    try:
        await migrate(store)
        sent = raw_log(kafka, topic)
        records = [Record(topic, 0, at, one.key, one.value, tuple(one.headers), 0) for at, one in enumerate(sent)]
        worker = Worker(store, topic)
        await worker.assign([0])
        await worker.apply(records)
        reader = StoreReader(store)
        found = {run_id: await reader.run_log(run_id) for run_id in await reader.run_ids()}
        return {run_id: log for run_id, log in found.items() if log is not None}
    finally:
        await store.close()
