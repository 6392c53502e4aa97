"""
Deletes and renames of series, carried out in the rows of a trackio project.

A row whose last metric goes stays, empty: its id keeps an envelope that comes twice from bringing the metric back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

import orjson

from consumers.trackers.trackio.ids import RowId, parse
from consumers.trackers.trackio.translate import Cells, dump
from schemas import events as ev
from schemas.mapping.names import trackio_key, trackio_name

_TABLES = ("metrics", "system_metrics")


class _Found(NamedTuple):
    """A metric of a row, by its name without step and labels."""

    table: str
    number: int
    row: RowId
    cells: Cells
    key: str
    step_name: str
    labels: str

    @property
    def place(self) -> tuple[str, str, int]:
        """What two series of one name differ in."""
        return self.step_name, self.labels, self.row.attempt


def delete_series(connection: sqlite3.Connection, run_id: str, name: str) -> None:
    """Delete what a run has of a series, of all its steps, attempts and labels."""
    for found in _named(connection, run_id, name):
        del found.cells[found.key]
        _write(connection, found)


def rename_series(connection: sqlite3.Connection, run_id: str, log_id: str, event: ev.Renamed) -> None:
    """Rename what a run has of a series, but where the new name is taken; `log_id` is that of the event's envelope."""
    taken = {found.place for found in _named(connection, run_id, event.new)}
    moved = 0
    for found in list(_named(connection, run_id, event.old)):
        if found.place in taken:
            continue
        value = found.cells.pop(found.key)
        key = trackio_key(f"{found.step_name}{event.new}{found.labels}")
        if "{" not in event.old and "{" not in event.new:
            found.cells[key] = value
        else:  # the name no longer ends where that of the row's other metrics ends: it gets a row of its own
            length = len(event.new) if "{" in event.new else 0
            own = found.row._replace(envelope=log_id, number=moved, length=length)
            _copy(connection, found, {key: value}, str(own))
            moved += 1
        _write(connection, found)


def _named(connection: sqlite3.Connection, run_id: str, name: str) -> Iterator[_Found]:
    for table in _TABLES:
        wanted = f"SELECT id, metrics, log_id FROM {table} WHERE run_id = ? AND instr(metrics, ?)"
        for number, text, log_id in connection.execute(wanted, (run_id, dump(name)[1:-1])).fetchall():
            row = parse(log_id)
            if row is None:
                continue  # somebody else's
            cells = orjson.loads(text)
            for key in list(cells):
                step_name, found, labels = row.split(trackio_name(key))
                if found == name:
                    yield _Found(table, number, row, cells, key, step_name, labels)


def _write(connection: sqlite3.Connection, found: _Found) -> None:
    connection.execute(f"UPDATE {found.table} SET metrics = ? WHERE id = ?", (dump(found.cells), found.number))


def _copy(connection: sqlite3.Connection, found: _Found, cells: Cells, log_id: str) -> None:
    step = "step, " if found.table == "metrics" else ""
    connection.execute(
        f"INSERT INTO {found.table} (run_id, run_name, timestamp, {step}metrics, log_id) "
        f"SELECT run_id, run_name, timestamp, {step}?, ? FROM {found.table} WHERE id = ?",
        (dump(cells), log_id, found.number),
    )
