"""
Deliver a run to a database of MLflow's in a process that kills itself at a certain point of the first large call.

    python -m tests.support.killed_bulk_writer mlflow ADDRESS RUN POINT
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import mlflow.store.db.utils

from consumers.trackers.mlflow.database import bulk
from consumers.trackers.mlflow.database.backend import DatabaseBackend
from consumers.trackers.mlflow.database.postgresql_database import PostgresqlConnection
from consumers.trackers.mlflow.database.sqlite_database import SqliteConnection
from consumers.trackers.mlflow.tracker import MlflowTracker
from schemas.runtime.settings import Settings
from schemas.wire import Envelope
from tests.support.log_author import Author

POINTS = 20_000  # of each series
SERIES = 3
# Tables are being made; metrics are inserted; all is there but not committed; it is committed, and the caller not told.
KILL_POINTS = ("tables", "rows", "before the commit", "after the commit")


def envelopes_of(run_id: str) -> list[Envelope]:
    """Return the same events each time."""
    author = Author(run_id)
    return [
        author.start(name="killed"),
        *(author.metrics(f"m{number}", [float(one) for one in range(POINTS)]) for number in range(SERIES)),
        author.finish(),
    ]


def main() -> None:
    _, _, url, run_id, point = sys.argv
    _kill_at(point)
    tracker = MlflowTracker(url=url)
    tracker.open(Settings())
    tracker.deliver(run_id, envelopes_of(run_id), {})


def _kill_at(point: str) -> None:
    match point:
        case "tables":
            mlflow.store.db.utils._upgrade_db = _die
        case "rows":
            for kind in (SqliteConnection, PostgresqlConnection):
                _die_after(kind, "insert")
        case "before the commit":
            _die_after(bulk, "log_batch")
        case "after the commit":
            _die_after(DatabaseBackend, "log_batch")


def _die_after(owner: Any, name: str) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def patched(*arguments: Any, **more: Any) -> NoReturn:
        original(*arguments, **more)
        _die()

    setattr(owner, name, patched)


def _die(*_: Any) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


if __name__ == "__main__":
    main()
