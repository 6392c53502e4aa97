"""
Deletes and renames of series, carried out in the rows of a trackio project.

A row that loses its last metric stays, empty: its id prevents a repeated event from restoring the metric.
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


class _Cell(NamedTuple):
    """A metric of a row, found by its name without step and labels."""

    table: str
    row_number: int
    row_id: RowId
    cells: Cells
    key: str
    step_name: str
    labels: str

    @property
    def context(self) -> tuple[str, str, int]:
        """What distinguishes two series of one name."""
        return self.step_name, self.labels, self.row_id.attempt


def delete_series(connection: sqlite3.Connection, run_id: str, name: str) -> None:
    """Delete a series of a run in all steps, attempts and labels."""
    for found in _find(connection, run_id, name):
        del found.cells[found.key]
        _write(connection, found)


def rename_series(connection: sqlite3.Connection, run_id: str, log_id: str, event: ev.Renamed) -> None:
    """Rename a series of a run, except where the new name is taken; `log_id` is the id of the event."""
    taken = {found.context for found in _find(connection, run_id, event.new)}
    moved = 0
    for found in list(_find(connection, run_id, event.old)):
        if found.context in taken:
            continue
        value = found.cells.pop(found.key)
        key = trackio_key(f"{found.step_name}{event.new}{found.labels}")
        if "{" not in event.old and "{" not in event.new:
            found.cells[key] = value
        else:  # the name no longer ends where those of the row's other metrics end: it gets a row of its own
            length = len(event.new) if "{" in event.new else 0
            own = found.row_id._replace(event_id=log_id, number=moved, length=length)
            _copy(connection, found, {key: value}, str(own))
            moved += 1
        _write(connection, found)


def _find(connection: sqlite3.Connection, run_id: str, name: str) -> Iterator[_Cell]:
    for table in _TABLES:
        query = f"SELECT id, metrics, log_id FROM {table} WHERE run_id = ? AND instr(metrics, ?)"
        for number, text, log_id in connection.execute(query, (run_id, dump(name)[1:-1])).fetchall():
            row_id = parse(log_id)
            if row_id is None:
                continue  # of another writer
            cells = orjson.loads(text)
            for key in list(cells):
                step_name, found, labels = row_id.split(trackio_name(key))
                if found == name:
                    yield _Cell(table, number, row_id, cells, key, step_name, labels)


def _write(connection: sqlite3.Connection, found: _Cell) -> None:
    connection.execute(f"UPDATE {found.table} SET metrics = ? WHERE id = ?", (dump(found.cells), found.row_number))


def _copy(connection: sqlite3.Connection, found: _Cell, cells: Cells, log_id: str) -> None:
    step = "step, " if found.table == "metrics" else ""
    connection.execute(
        f"INSERT INTO {found.table} (run_id, run_name, timestamp, {step}metrics, log_id) "
        f"SELECT run_id, run_name, timestamp, {step}?, ? FROM {found.table} WHERE id = ?",
        (dump(cells), log_id, found.row_number),
    )
