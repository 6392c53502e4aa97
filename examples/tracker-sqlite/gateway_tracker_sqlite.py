"""
The tracker `sqlite`: every run in one SQLite file.

An event may be delivered twice: after a crash the gateway does not know what the tracker has written. Here one call is
one transaction, and the table `events` records which events (run, producer, number) the file contains, so that none is
written twice. Deletes and renames are events like others: they apply to what precedes them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from consumers.trackers import (
    BadSettings,
    Capabilities,
    Envelope,
    Point,
    ReadBack,
    RunStatus,
    SeriesKey,
    Settings,
    State,
    TrackerRefused,
    TrackerUnavailable,
    edited_names,
    edited_series,
    events,
    fold_run_status,
    series_key,
    to_text,
)

TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, status TEXT, started INTEGER, ended INTEGER, message TEXT, attempt INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS params (run_id TEXT, name TEXT, value TEXT, PRIMARY KEY (run_id, name)) WITHOUT ROWID;
-- The events that were delivered; the names are those of the first release, so that its files stay readable.
CREATE TABLE IF NOT EXISTS batches (
    run_id TEXT, producer TEXT, number INTEGER, PRIMARY KEY (run_id, producer, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS points (
    run_id TEXT, step_name TEXT, attempt INTEGER, name TEXT, labels TEXT, step INTEGER, time INTEGER, value REAL
);
CREATE INDEX IF NOT EXISTS points_by_series ON points (run_id, name);
"""
WAIT_S = 10.0  # for another thread's transaction


class SqliteTracker:
    """Runs, parameters and points in three tables. Times are µs since 1970-01-01 UTC; NaN is NULL."""

    name = "sqlite"
    cannot_hold: Sequence[str] = ("tags, notes, artifacts, console lines and observations that are not numbers",)
    capabilities = Capabilities(can_delete=True, can_edit_series=True, can_edit_params=True)

    def __init__(self, *, file: str = "") -> None:
        self._file = file

    def open(self, settings: Settings) -> None:
        """Check the configuration only: the disk of the file may not be mounted yet."""
        if not self._file:
            raise BadSettings("the tracker sqlite needs a file: write config: {file: ...} in the trackers file")

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Write events of one run in one transaction."""
        with self._connected() as connection:
            first = (run_id, "running", min(envelope.event.time for envelope in envelopes))
            connection.execute("INSERT OR IGNORE INTO runs VALUES (?, ?, ?, NULL, '', 1)", first)
            for envelope in envelopes:
                key = (run_id, envelope.producer, envelope.seq)
                if connection.execute("INSERT OR IGNORE INTO batches VALUES (?, ?, ?)", key).rowcount:
                    write(connection, envelope)
        return {"delivered": True}  # stored with the checkpoint; this tracker needs no state

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Return what the file holds of a run, for `gateway verify`."""
        with self._connected() as connection:
            found = connection.execute("SELECT status, started, ended FROM runs WHERE run_id = ?", (run_id,))
            status, started, ended = found.fetchone() or ("missing", None, None)
            if status == "missing":
                raise TrackerRefused(f"{self._file} has nothing of this run: run `gateway verify --repair`")
            if status == "deleted":
                raise TrackerRefused("the run was deleted")
            params = dict(connection.execute("SELECT name, value FROM params WHERE run_id = ?", (run_id,)))
        return ReadBack(self._points(run_id), params, status, started, ended)

    def start_over(self, run_id: str, state: State) -> State:
        """Remove the run, for `gateway verify --repair`, which delivers it again from its first event."""
        with self._connected() as connection:
            for table in ("runs", "params", "batches", "points"):
                connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
        return {}

    def close(self) -> None:
        """Do nothing: each call opens and closes its own connection."""

    def _points(self, run_id: str) -> Iterator[Point]:
        with self._connected() as connection:
            query = "SELECT step_name, attempt, name, labels, step, time, value FROM points WHERE run_id = ?"
            for *series, step, time, value in connection.execute(query, (run_id,)):
                yield Point(SeriesKey(*series).written, step, time // 1_000, float("nan") if value is None else value)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction. Raises TrackerUnavailable: the loop calls again later."""
        try:
            Path(self._file).parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=WAIT_S)) as connection, connection:
                connection.executescript(TABLES)
                yield connection
        except (OSError, sqlite3.OperationalError) as error:
            raise TrackerUnavailable(f"{self._file} cannot be used ({error}): check the disk") from error


def write(connection: sqlite3.Connection, envelope: Envelope) -> None:
    """Write one event; events without a table are skipped, and so are those after a delete of the run."""
    event, run_id = envelope.event, envelope.run_id
    (status,) = connection.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if status == "deleted":
        return
    match event:
        case events.Metrics() | events.SystemMetrics():
            for series in event.series:
                key = series_key(event, series)
                points = zip(series.steps, series.times, series.values, strict=True)
                rows = [(run_id, *key, *point) for point in points]
                connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        case events.Params():
            rows = [(run_id, name, to_text(value)) for name, value in event.params.items()]
            connection.executemany("INSERT OR REPLACE INTO params VALUES (?, ?, ?)", rows)
        case events.Deleted(what="run"):
            connection.execute("DELETE FROM points WHERE run_id = ?", (run_id,))
            connection.execute("DELETE FROM params WHERE run_id = ?", (run_id,))
            connection.execute("UPDATE runs SET status = 'deleted' WHERE run_id = ?", (run_id,))
        case events.Deleted() | events.Renamed():
            edit(connection, run_id, event)
        case _:
            found = connection.execute("SELECT status, ended, message, attempt FROM runs WHERE run_id = ?", (run_id,))
            if (now := fold_run_status(RunStatus(*found.fetchone()), [event])) is not None:
                change = "UPDATE runs SET status = ?, ended = ?, message = ?, attempt = ? WHERE run_id = ?"
                connection.execute(change, (*now, run_id))
            if isinstance(event, events.RunStarted):
                connection.execute("UPDATE runs SET started = ? WHERE run_id = ?", (event.time, run_id))


def edit(connection: sqlite3.Connection, run_id: str, event: events.Deleted | events.Renamed) -> None:
    """Carry out the delete or rename of a series or a parameter."""
    found = connection.execute(
        "SELECT DISTINCT step_name, attempt, name, labels FROM points WHERE run_id = ?", (run_id,)
    )
    condition = "WHERE run_id = ? AND step_name = ? AND attempt = ? AND name = ? AND labels = ?"
    for series, now in edited_series({SeriesKey(*row) for row in found}, [event]).items():
        if now is None:
            connection.execute(f"DELETE FROM points {condition}", (run_id, *series))
        else:
            connection.execute(f"UPDATE points SET name = ? {condition}", (now.name, run_id, *series))
    names = {name for (name,) in connection.execute("SELECT name FROM params WHERE run_id = ?", (run_id,))}
    for old, new in edited_names(names, [event], "param").items():
        if new is None:
            connection.execute("DELETE FROM params WHERE run_id = ? AND name = ?", (run_id, old))
        else:
            connection.execute("UPDATE params SET name = ? WHERE run_id = ? AND name = ?", (new, run_id, old))
