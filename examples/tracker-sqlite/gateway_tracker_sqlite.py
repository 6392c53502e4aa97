"""
The tracker `sqlite`: every run in one SQLite file.

A batch may be delivered twice: after a crash the gateway does not know what the tracker took. Here each point has the
key (run, producer, number of the batch, number in the batch), so a second one is ignored, and whatever is written over
(status, parameters) comes again in the order it came first. One call is one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from consumers.delivery.tracker import Capabilities, ReadBack, State
from schemas import events as ev
from schemas.errors import BadSettings, TrackerUnavailable
from schemas.facts import Point
from schemas.names import series_name
from schemas.settings import Settings
from schemas.values import to_text
from schemas.wire import Batch

TABLES = """
CREATE TABLE IF NOT EXISTS runs (run_id TEXT PRIMARY KEY, status TEXT, started INTEGER, ended INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS params (run_id TEXT, name TEXT, value TEXT, PRIMARY KEY (run_id, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS points (
    run_id TEXT, producer TEXT, batch INTEGER, number INTEGER, series TEXT, step INTEGER, time INTEGER, value REAL,
    PRIMARY KEY (run_id, producer, batch, number)
) WITHOUT ROWID;
"""
STATUS = {
    "run_created": "created", "run_started": "running", "run_resumed": "running",
    "run_finished": "finished", "run_failed": "failed", "run_killed": "killed",
}  # fmt: skip
WAIT_S = 10.0  # for another thread's transaction


class SqliteTracker:
    """Runs, parameters and points in three tables. Times are µs since 1970-01-01 UTC; NaN is NULL."""

    name = "sqlite"
    cannot_hold: Sequence[str] = ("tags, notes, artifacts, console lines and observations that are not numbers",)
    capabilities = Capabilities()  # every point and parameter, the status; nothing else

    def __init__(self, *, file: str = "") -> None:
        self._file = file

    def open(self, settings: Settings) -> None:
        """Look at the configuration only: the file may be on a disk that is away."""
        if not self._file:
            raise BadSettings("the tracker sqlite needs a file: write config: {file: ...} into the trackers file")

    def deliver(self, run_id: str, batches: Sequence[Batch], state: State) -> State:
        """Write these batches of one run in one transaction."""
        with self._connected() as connection:
            first = (run_id, "running", min(batch.event.time for batch in batches))
            connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, NULL)", first)
            for batch in batches:
                write(connection, batch)
        return {"delivered": True}  # kept with the checkpoint; this tracker needs to know nothing

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Return what the file holds of a run, for `gateway verify`."""
        with self._connected() as connection:
            found = connection.execute("SELECT status, started, ended FROM runs WHERE run_id = ?", (run_id,))
            status, started, ended = found.fetchone()
            params = dict(connection.execute("SELECT name, value FROM params WHERE run_id = ?", (run_id,)))
        return ReadBack(self._points(run_id), params, status, started, ended)

    def close(self) -> None:
        """Each call has a connection of its own."""

    def _points(self, run_id: str) -> Iterator[Point]:
        with self._connected() as connection:
            ask = "SELECT series, step, time, value FROM points WHERE run_id = ?"
            for series, step, time, value in connection.execute(ask, (run_id,)):
                yield Point(series, step, time // 1_000, float("nan") if value is None else value)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Give a connection in a transaction. Raises TrackerUnavailable: the loop calls again later."""
        try:
            Path(self._file).parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=WAIT_S)) as connection, connection:
                connection.executescript(TABLES)
                yield connection
        except (OSError, sqlite3.OperationalError) as error:
            raise TrackerUnavailable(f"{self._file} cannot be used ({error}): check the disk") from error


def write(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write one batch; what there is no table for is passed over."""
    event = batch.event
    match event:
        case ev.Metrics() | ev.SystemMetrics():
            rows = [
                (batch.run_id, batch.producer, batch.seq, name, step, time, value)
                for series in event.series
                for name in [series_name(series.name, series.labels, event.step_name)]
                for step, time, value in zip(series.steps, series.times, series.values, strict=True)
            ]
            numbered = [(*row[:3], number, *row[3:]) for number, row in enumerate(rows)]
            connection.executemany("INSERT OR IGNORE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)", numbered)
        case ev.Params():
            rows = [(batch.run_id, name, to_text(value)) for name, value in event.params.items()]
            connection.executemany("INSERT OR REPLACE INTO params VALUES (?, ?, ?)", rows)
        case _ if event.kind in STATUS:
            ended = event.time if isinstance(event, ev.RunFinished | ev.RunFailed | ev.RunKilled) else None
            change = (STATUS[event.kind], ended, batch.run_id)
            connection.execute("UPDATE runs SET status = ?, ended = ? WHERE run_id = ?", change)
            if isinstance(event, ev.RunStarted):
                connection.execute("UPDATE runs SET started = ? WHERE run_id = ?", (event.time, batch.run_id))
