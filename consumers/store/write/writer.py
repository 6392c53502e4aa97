"""
Write the changes of one batch, in one transaction with the offsets up to which they are folded.

The offsets come first: a worker that has lost its partition to another finds them moved, writes nothing and gets
`Fenced`. Every row was validated when its event was decoded, so an error that rows cause is a bug of ours:
`RowsRefused` lets the worker find the record that causes it and park it, instead of ending with it again and again.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import fields
from typing import Any

import asyncpg
import orjson

from consumers.store.codec.copy_format import COLUMNS, copy_stream
from consumers.store.fencing import Fenced
from consumers.store.pool import Database, PooledConnection
from consumers.store.registry.save import save_registry
from consumers.store.rows import Changes, DeadLetterRow, SeriesRow
from consumers.store.statements import sql
from consumers.store.write.chunk_groups import save_groups
from consumers.store.write.partitions import open_months
from consumers.store.write.series_id import series_id
from schemas.columns import float_to_json
from schemas.errors import TrackingError

EDIT_TIMEOUT_S = 86_400.0
_LETTER_COLUMNS = [column.name for column in fields(DeadLetterRow)]
_NOT_STORED = {"tail", "loose", "waiting", "is_stored", "held", "steps", "times", "values", "is_dropped"}
_SERIES_COLUMNS = [column.name for column in fields(SeriesRow) if column.name not in _NOT_STORED]
_CAUSED_BY_ROWS = (  # not by the state of the database, after which every record would be refused
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.CardinalityViolationError,
    ValueError,  # asyncpg, orjson: a value that has no form in the protocol or in JSON
    TypeError,
    ArithmeticError,
    LookupError,
    RecursionError,
    struct.error,
)
_SERIES_CHANGES = (  # what a batch may change of a stored one; in the order of update_series
    "series_id", "integer", "points", "non_finite", "last_step", "last_time", "last_value", "min_value", "max_value",
    "open_index",
)  # fmt: skip
_SERIES_FLOATS = ("last_value", "min_value", "max_value")


class TablesExchanged(TrackingError):
    """The tables were exchanged by a rebuild since the rows behind these changes were loaded: load them again."""


class RowsRefused(TrackingError):
    """These rows cannot be stored: one of their records must be parked."""


async def write(database: Database, consumer: str, topic: str, changes: Changes, tables: int) -> None:
    """
    Apply `changes` to the tables with this identity and move the offsets, all or nothing.

    Raises Fenced if an offset is not the one from which the batch started, TablesExchanged if `gateway rebuild` has
    replaced the tables, RowsRefused if a row cannot be stored, and StoreUnavailable if the connection broke. Then the
    commit may or may not have happened; only the offsets in the store tell.
    """
    try:
        async with database.acquire() as connection, connection.transaction():
            await _write(connection, consumer, topic, changes, tables)
        for row in changes.series.values():
            row.is_stored = True
    except _CAUSED_BY_ROWS as error:
        raise RowsRefused(f"PostgreSQL refuses its rows: {error or type(error).__name__}") from error


async def _write(connection: PooledConnection, consumer: str, topic: str, changes: Changes, tables: int) -> None:
    await _move_offsets(connection, consumer, topic, changes, tables)
    await _write_rows(connection, changes)
    await _write_points(connection, changes)
    if changes.registry:
        await save_registry(connection, changes.registry)
    if changes.edits:
        await _write_edits(connection, changes)
    if changes.dead_letters:
        letters = [tuple(getattr(letter, column) for column in _LETTER_COLUMNS) for letter in changes.dead_letters]
        await connection.copy_records_to_table("dead_letters", records=letters, columns=_LETTER_COLUMNS)


async def _move_offsets(connection: PooledConnection, consumer: str, topic: str, changes: Changes, tables: int) -> None:
    wanted = sorted((part, *offsets, changes.last_times[part]) for part, offsets in changes.offsets.items())
    columns = [list(column) for column in zip(*wanted, strict=True)] or [[], [], [], []]
    rows = await connection.fetch(sql("move_offsets"), consumer, topic, *columns)
    moved = {row["partition"] for row in rows}
    for partition, expected, _, _ in wanted:
        if partition not in moved:
            raise Fenced(f"offset of {topic}/{partition} is no longer {expected}")
    if any(row["tables"] != tables for row in rows):
        raise TablesExchanged


async def _write_rows(connection: PooledConnection, changes: Changes) -> None:
    tables: dict[str, list[Any]] = {
        "save_runs": list(changes.runs.values()),
        "save_producers": list(changes.producers.values()),
        "save_steps": list(changes.steps.values()),
        "save_attempts": list(changes.attempts.values()),
        "save_first_params": list(changes.first_params.values()),
        "save_params": list(changes.params.values()),
        "save_tags": list(changes.tags.values()),
        "save_run_labels": list(changes.run_labels.values()),
        "save_artifacts": list(changes.artifacts.values()),
        "save_code_identities": list(changes.code_identities.values()),
        "save_metric_definitions": list(changes.metric_definitions.values()),
        "save_series": [_series_json(row) for row in changes.series.values() if not row.is_stored],
        "add_observations": changes.observations,
        "add_console_lines": changes.console_lines,
    }
    for name, rows in tables.items():
        if rows:
            await connection.execute(sql(name), orjson.dumps(rows).decode())
    await _update_series(connection, changes.series.values())
    if changes.params or changes.first_params:
        names = {(row["run_id"], row["name"]) for row in (*changes.params.values(), *changes.first_params.values())}
        await connection.execute(sql("rank_params"), *map(list, zip(*names, strict=True)))


async def _update_series(connection: PooledConnection, rows: Iterable[SeriesRow]) -> None:
    """Update the rows of series that the store has; as JSON, that takes four times as long."""
    stored = [row for row in rows if row.is_stored]
    if not stored:
        return
    columns = [[getattr(row, name) for row in stored] for name in _SERIES_CHANGES]
    done = await connection.execute(sql("update_series"), *columns)
    if done != f"UPDATE {len(stored)}":
        raise TablesExchanged(f"of {len(stored)} stored series, {done}")


async def _write_points(connection: PooledConnection, changes: Changes) -> None:
    if not changes.new_points:
        return
    dropped = await open_months(connection, changes.new_points)
    if changes.reopened:
        reopened = [(series, index, changes.series[series].month) for series, index in changes.reopened.items()]
        await connection.execute(sql("reopen_chunks"), *map(list, zip(*reopened, strict=True)))
    kept = [row for row in changes.chunks.values() if row.month not in dropped]
    if kept:
        source = _sent(copy_stream(kept))
        await connection.copy_to_table("chunks", source=source, columns=COLUMNS, format="binary")
    if changes.full_groups:
        await save_groups(connection, changes.full_groups)


async def _sent(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _write_edits(connection: PooledConnection, changes: Changes) -> None:
    # Of a series with a hundred million points it takes minutes: with the limit of other statements it never ended.
    await connection.execute(sql("allow_long_edit"))
    for edit in changes.edits:
        await connection.execute(sql("save_edit"), edit.run_id, edit.what, edit.name, edit.new or "")
        if edit.new is None:
            await _execute_edit(connection, f"delete_{edit.what}", edit.run_id, edit.name)
        elif edit.what == "series":
            await _rename_series(connection, edit.run_id, edit.name, edit.new)
        else:
            await _execute_edit(connection, f"rename_{edit.what}", edit.run_id, edit.name, edit.new)


async def _execute_edit(connection: PooledConnection, name: str, *values: object) -> None:
    await connection.execute(sql(name), *values, timeout=EDIT_TIMEOUT_S)


async def _rename_series(connection: PooledConnection, run_id: str, name: str, new: str) -> None:
    rows = await connection.fetch(sql("series_to_rename"), run_id, name, new, timeout=EDIT_TIMEOUT_S)
    ids = [
        [series_id(run_id, row["step_name"], row["attempt"], one, row["labels"]) for row in rows] for one in (name, new)
    ]
    await _execute_edit(connection, "rename_series", *ids, new)
    places = [[row[column] for row in rows] for column in ("step_name", "attempt", "labels")]
    await _execute_edit(connection, "rename_observations", run_id, name, new, *places)


def _series_json(row: SeriesRow) -> dict[str, Any]:
    columns = {name: getattr(row, name) for name in _SERIES_COLUMNS}
    for name in _SERIES_FLOATS:
        columns[name] = None if columns[name] is None else float_to_json(columns[name])
    return columns
