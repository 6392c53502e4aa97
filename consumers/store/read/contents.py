"""
What a run holds besides points, parameters and tags, for a comparison with a tracker.

Observations and console lines are streamed: there may be many.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.read.documents import TYPED
from consumers.store.statements import sql
from schemas.names import series_name
from schemas.values import Typed

ROWS_AHEAD = 500


class StoredEdit(NamedTuple):
    """A named part of a run that its log deletes, or renames."""

    what: str  # "series", "param", "tag", "label" or "artifact"
    name: str
    new: str  # "": deleted


class StoredContents(NamedTuple):
    """Facts of one run that fit in memory."""

    name: str
    tag: str
    note: str
    labels: Mapping[str, Typed]
    artifacts: Mapping[str, Sequence[Mapping[str, Any]]]  # by name: its references, of any step and attempt
    edits: Sequence[StoredEdit]


class StoredObservation(NamedTuple):
    """One value that is not a number."""

    series: str  # written name
    step: int
    time: int  # µs
    value: Typed


class StoredLine(NamedTuple):
    """One console line."""

    stream: str
    time: int  # µs
    text: str


async def load_contents(connection: PooledConnection, run_id: str, lost_after_s: float) -> StoredContents:
    """Return these facts of a run that exists."""
    run = await connection.fetchrow(sql("get_run"), run_id, lost_after_s)
    labels = await connection.fetch(sql("get_run_labels"), run_id)
    artifacts = await connection.fetch(sql("get_artifacts"), run_id)
    edits = await connection.fetch(sql("get_edits"), run_id)
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in artifacts:
        by_name.setdefault(row["name"], []).append(dict(row))
    return StoredContents(
        name="" if run is None else run["name"],
        tag="" if run is None else run["tag"],
        note="" if run is None else run["note"],
        labels={row["name"]: TYPED.validate_python(row["value"]) for row in labels},
        artifacts=by_name,
        edits=[StoredEdit(row["what"], row["name"], row["new_name"]) for row in edits],
    )


async def stream_observations(connection: PooledConnection, run_id: str) -> AsyncIterator[StoredObservation]:
    """Yield the observations of a run, in log order."""
    async for row in connection.cursor(sql("get_observations"), run_id, prefetch=ROWS_AHEAD):
        written = series_name(row["name"], row["labels"], row["step_name"])
        yield StoredObservation(written, row["step"], row["time"], TYPED.validate_python(row["value"]))


async def stream_lines(connection: PooledConnection, run_id: str) -> AsyncIterator[StoredLine]:
    """Yield the console lines of a run, in log order."""
    async for row in connection.cursor(sql("get_console_lines"), run_id, prefetch=ROWS_AHEAD):
        yield StoredLine(row["stream"], row["time"], row["line"])


async def load_gaps(connection: PooledConnection, run_ids: Sequence[str]) -> dict[str, int]:
    """Return how many records of these runs were sent and never folded, for runs with such records."""
    rows = await connection.fetch(sql("incomplete_producers"), list(run_ids))
    return {row["run_id"]: row["absent"] for row in rows}


async def load_open_letters(connection: PooledConnection, run_ids: Sequence[str] | None) -> dict[str, int]:
    """Return the number of undecided dead letters by run; of all keys, also unreadable ones, if `run_ids` is None."""
    keys = None if run_ids is None else [run_id.encode() for run_id in run_ids]
    rows = await connection.fetch(sql("open_dead_letters"), keys)
    return {(row["record_key"] or b"").decode(errors="replace"): row["letters"] for row in rows}
