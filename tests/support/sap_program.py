"""A program that imports `sapdi`, on real parts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from gateway.client.query import find_api, get, run_path
from gateway.dialects.sap import active
from tests.support.client_harness import ROOT
from tests.support.dialect_stack import DialectStack
from tests.support.process_tree import until


class Sap(NamedTuple):
    """The module `sapdi` of a program, and the system that it logs to."""

    sapdi: ModuleType
    stack: DialectStack
    patch: pytest.MonkeyPatch

    @property
    def tracking(self) -> Any:
        """The module `sapdi.tracking`."""
        return self.sapdi.tracking

    def train(self, collection: str | None = None, *, values: Iterable[float] = ()) -> Any:
        """Return a run that has logged these values of `loss` and has ended."""
        run = self.tracking.start_run(run_collection_name=collection)
        for value in values:
            self.tracking.log_metric("loss", value)
        self.tracking.end_run()
        return run

    def run_python(self, code: str) -> str:
        """
        Run a program in a process of its own, which must succeed in silence, and return its output.

        It ends once readers see what it has recorded, which this process does not wait for.
        """
        code += "\nfrom gateway.dialects.sap import active; active.until_readable()"
        paths = os.pathsep.join([str(Path(str(self.sapdi.__file__)).parents[1]), str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    def until_points(self, run: Any, points: int) -> None:
        """Return when PostgreSQL has so many points of a run, without asking this process to send them."""
        query = "SELECT points FROM runs WHERE run_id = $1"
        until(lambda: self.stack.rows(query, run.id) == [(points,)], f"{points} points of the run are stored")

    def log(self, run: Any) -> dict[str, Any]:
        """Return the run log, once readers see everything that this process has recorded."""
        active.until_readable()
        return dict(get(find_api(), run_path(run.id, "log")))

    def points(self, run: Any) -> list[tuple[str, float]]:
        """Return the points of a run in PostgreSQL, in the order of their times."""
        active.until_readable()
        return self.stack.rows("SELECT name, value FROM metric_points WHERE run_id = $1 ORDER BY time, step", run.id)

    def stored(self, table: str, run: Any) -> dict[str, Any]:
        """Return names and values of a run in a table of PostgreSQL: tags, params or run_labels."""
        active.until_readable()
        return dict(self.stack.rows(f"SELECT name, value FROM {table} WHERE run_id = $1", run.id))

    def collections(self, *runs: Any) -> list[str]:
        """Return the run collections of runs in PostgreSQL, each once, by name."""
        active.until_readable()
        ids = [run.id for run in runs]
        return [
            name for (name,) in self.stack.rows("SELECT DISTINCT tag FROM runs WHERE run_id = ANY($1) ORDER BY 1", ids)
        ]


def install_sapdi(folder: Path) -> Path:
    """Return a folder with `sapdi`, installed by pip as docs/sap.md says."""
    shim = ROOT / "examples" / "sapdi"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(shim)]
    subprocess.run(command, check=True, timeout=240)
    return folder


def forget_runs(patch: pytest.MonkeyPatch) -> None:
    """Give a test the state of a process that has started no run."""
    for name, kind in (("_open", list), ("_writers", dict), ("_unread", dict), ("_sent", dict), ("_deleted", dict)):
        patch.setattr(active, name, kind())
