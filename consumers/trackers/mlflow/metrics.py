"""
What events are in MLflow's terms: metrics, params, tags and a status.

Pure: events in, plain values out. Times become milliseconds. Keys are mangled as schemas/mapping/names.py says;
what a key or a row of MLflow cannot carry is noted in `Notes`, which is kept with the checkpoint. Notes follow from the
log alone, never from what the server holds, so the same records always give the same notes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from consumers.trackers.run_status import RunStatus
from schemas import events as ev
from schemas.columns import float_to_json
from schemas.facts import Point
from schemas.mapping.names import mlflow_key, mlflow_name
from schemas.names import series_name
from schemas.statuses import AFTER

MAX_PARAM, MAX_TAG, MAX_RUN_NAME = 6_000, 8_000, 250  # characters
Row = tuple[str, int, int, float | str]  # key, step, ms, value with non-finite ones by name: one row in MLflow


class Metric(NamedTuple):
    """One metric point."""

    key: str
    value: float
    time_ms: int
    step: int


class Ended(NamedTuple):
    """A status, and when the run got it."""

    status: str
    time_ms: int


class Notes(NamedTuple):
    """What must be known beside MLflow's rows to read a run back as it was."""

    names: Mapping[str, str] = {}  # by key: names that were too long, in full
    doubles: Sequence[tuple[Row, int]] = ()  # equal rows are one row in MLflow: how many more there were
    newest: Sequence[Row] = ()  # the rows of each key's newest ms: a double may still come
    largest: Sequence[tuple[str, int, int]] = ()  # real ±1.797e308, which is also what MLflow makes of infinities
    infinite: Mapping[str, int] = {}  # by key: how many infinities were clipped
    params: Sequence[str] = ()  # keys of parameters
    values: Sequence[str] = ()  # keys of params that are observations
    left_out: int = 0  # observations that neither fit beside MAX_VALUES others nor could be kept as artifacts
    tags: Mapping[str, str | None] = {}  # by key: the training code's tags; None: too long to be kept here

    def to_json(self) -> dict[str, Any]:
        """Return the notes as JSON holds them, without what is empty."""
        return {name: value for name, value in self._asdict().items() if value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Notes:
        """Return the notes that `to_json` wrote."""
        notes = cls(**value)
        return notes._replace(
            doubles=[(_row(row), count) for row, count in notes.doubles],
            newest=[_row(row) for row in notes.newest],
            largest=[(key, step, time) for key, step, time in notes.largest],
        )

    def name_of(self, key: str) -> str:
        """Return the written name of a key."""
        return self.names.get(key) or mlflow_name(key)


def metrics(events: Iterable[ev.AnyEvent], notes: Notes) -> tuple[list[Metric], Notes]:
    """Return the points of some events in log order, and the notes with what MLflow cannot tell apart in them."""
    found: list[Metric] = []
    names: dict[str, str] = {}
    for event in events:
        if isinstance(event, ev.Metrics | ev.SystemMetrics):
            for series in event.series:
                key = key_of(series_name(series.name, series.labels, event.step_name), names)
                columns = zip(series.values, series.times, series.steps, strict=True)
                found += [Metric(key, value, time // 1_000, step) for value, time, step in columns]
    notes = notes._replace(names={**notes.names, **names})
    return found, _note_rows(found, notes)


def ended(now: RunStatus | None, events: Iterable[ev.AnyEvent]) -> Ended | None:
    """Return the status that some events give a run, which stands as `now` says after them, if any."""
    said = [event for event in events if event.kind in AFTER]
    if not said:
        return None
    if now is None:
        return Ended(_in_mlflow(AFTER[said[-1].kind]), said[-1].time // 1_000)
    return Ended(_in_mlflow(now.status), (said[-1].time if now.time is None else now.time) // 1_000)


def _in_mlflow(status: str) -> str:
    return "SCHEDULED" if status == "created" else status.upper()


def read_points(rows: Iterable[Metric], notes: Notes) -> Iterator[Point]:
    """Yield the points of rows as they were before MLflow clipped and merged them."""
    doubles = dict(notes.doubles)
    largest = set(notes.largest)
    for key, held, time, step in rows:
        clipped = abs(held) == sys.float_info.max and (key, step, time) not in largest and key in notes.infinite
        value = math.copysign(math.inf, held) if clipped else held
        point = Point(notes.name_of(key), step, time, value)
        for _ in range(1 + doubles.get((key, step, time, float_to_json(value)), 0)):
            yield point


def dump(value: Any) -> str:
    """Return plain JSON text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _note_rows(found: Sequence[Metric], notes: Notes) -> Notes:
    doubles = dict(notes.doubles)
    known = set(notes.newest)
    newest: dict[str, list[Row]] = {}
    for old in notes.newest:
        newest.setdefault(old[0], []).append(old)
    infinite, largest = dict(notes.infinite), list(notes.largest)
    for key, value, time, step in found:
        row: Row = (key, step, time, float_to_json(value))
        if row in known:
            doubles[row] = doubles.get(row, 0) + 1
            continue
        known.add(row)
        last = newest.get(key)
        if last is None or time > last[0][2]:
            newest[key] = [row]
        elif time == last[0][2]:
            last.append(row)
        if math.isinf(value):
            infinite[key] = infinite.get(key, 0) + 1
        elif abs(value) == sys.float_info.max:
            largest.append((key, step, time))
    return notes._replace(
        doubles=list(doubles.items()), newest=[row for rows in newest.values() for row in rows],
        infinite=infinite, largest=largest,
    )  # fmt: skip


def key_of(name: str, names: dict[str, str]) -> str:
    """Return the key of a name; where that does not tell the name any more, note it."""
    key = mlflow_key(name)
    if mlflow_name(key) != name:
        names[key] = name
    return key


def _row(row: Sequence[Any]) -> Row:
    key, step, time, value = row
    return key, step, time, value if isinstance(value, str) else float(value)
