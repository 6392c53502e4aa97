"""
Translate events into Arrow tables, for people who query with SQL or data frames.

Pure. Nothing is renamed, cut or converted: names are as written, times are microseconds, floats keep their bits, and a
value that is not a float64 is JSON text next to the name of its type.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from consumers.trackers.run_status import RunStatus, fold_run_status
from schemas import events as ev
from schemas.names import series_name
from schemas.statuses import STATUS_AFTER
from schemas.values import Typed, to_plain
from schemas.wire import Envelope

# Column types: s text, i int64, f float64, t instant in µs UTC.
TABLES: Mapping[str, Mapping[str, str]] = {
    "points": {
        "run_id": "s", "series": "s", "step": "i", "time": "t", "value": "f", "attempt": "i", "producer": "s",
        "step_name": "s", "name": "s",
    },
    "observations": {
        "run_id": "s", "series": "s", "step": "i", "time": "t", "type": "s", "value": "s", "attempt": "i",
        "step_name": "s", "name": "s",
    },
    "params": {"run_id": "s", "name": "s", "type": "s", "value": "s", "attempt": "i", "time": "t"},
    "tags": {"run_id": "s", "kind": "s", "name": "s", "value": "s", "time": "t"},
    "lines": {"run_id": "s", "stream": "s", "time": "t", "line": "s", "step_name": "s", "attempt": "i"},
    "runs": {
        "run_id": "s", "status": "s", "started": "t", "ended": "t", "name": "s", "tag": "s", "group": "s",
        "parent_run_id": "s", "message": "s",
    },
}  # fmt: skip
GROWING = ("points", "observations", "params", "tags", "lines")  # `runs` has one row for each run, and is rewritten
_TYPES = {"s": pa.string(), "i": pa.int64(), "f": pa.float64(), "t": pa.timestamp("us", tz="UTC")}
SCHEMAS = {
    table: pa.schema([pa.field(name, _TYPES[kind]) for name, kind in columns.items()])
    for table, columns in TABLES.items()
}
ColumnLists = dict[str, Any]  # each column is a list, an array of numbers, or a RepeatedColumn


class RepeatedColumn:
    """A column whose values repeat many times in a row: the values, and the row before which each one ends."""

    __slots__ = ("ends", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.ends: list[int] = []

    def add(self, value: Any, count: int) -> None:
        """Add a value `count` times."""
        end = count + (self.ends[-1] if self.ends else 0)
        if self.values and self.values[-1] == value:
            self.ends[-1] = end
        else:
            self.values.append(value)
            self.ends.append(end)


class RunRow(NamedTuple):
    """The row of a run in `runs`. The field names are the keys of the stored state: do not rename them."""

    status: str = "running"
    started: int | None = None
    ended: int | None = None
    name: str = ""
    tag: str = ""
    group: str = ""
    parent_run_id: str = ""
    message: str = ""


def translate(envelopes: Iterable[Envelope]) -> dict[str, pa.Table]:
    """Return the rows that some events add to each growing table, in log order."""
    tables: dict[str, ColumnLists] = {name: {column: [] for column in TABLES[name]} for name in GROWING}
    tables["points"] = {name: _NUMBER_COLUMNS.get(name, RepeatedColumn)() for name in TABLES["points"]}
    row: Sequence[Any]
    for envelope in envelopes:
        event = envelope.event
        match event:
            case ev.Metrics() | ev.SystemMetrics() | ev.MetricRows():
                _extend_points(tables["points"], envelope, event)
            case ev.Values():
                for seen in event.values:
                    written = series_name(seen.name, seen.labels, event.step_name)
                    kind, text = _typed(seen.value)
                    row = (envelope.run_id, written, seen.step, seen.time, kind, text, event.attempt)
                    _append(tables["observations"], (*row, event.step_name, seen.name))
            case ev.Params():
                for name, value in event.params.items():
                    _append(tables["params"], (envelope.run_id, name, *_typed(value), event.attempt, event.time))
            case ev.ConsoleText():
                for line, time in zip(event.lines, event.times, strict=True):
                    row = (envelope.run_id, event.stream, time, line, event.step_name, event.attempt)
                    _append(tables["lines"], row)
            case _:
                for kind, name, text in _facts(event):
                    _append(tables["tags"], (envelope.run_id, kind, name, text, event.time))
    return {name: to_table(columns, SCHEMAS[name]) for name, columns in tables.items()}


def fold_run_row(
    row: RunRow, status: RunStatus | None, events: Iterable[ev.AnyEvent]
) -> tuple[RunRow, RunStatus | None]:
    """Return the row of a run apart from its beginning, and the status of its newest attempt, after some events."""
    for event in events:
        status = fold_run_status(status, [event])
        if event.kind in STATUS_AFTER:
            text, ended, message = STATUS_AFTER[event.kind], None, row.message
            if status is not None:
                text, ended, message, _ = status
            row = row._replace(status=text, ended=ended, message=message)
        match event:
            case ev.RunStarted() | ev.RunCreated() | ev.RunResumed():
                row = row._replace(
                    group=event.group or row.group, parent_run_id=event.parent_run_id or row.parent_run_id
                )
    return row, status


def run_table(run_id: str, row: RunRow) -> pa.Table:
    """Return the table `runs` with the row of one run."""
    return pa.table({name: [value] for name, value in ({"run_id": run_id} | row._asdict()).items()}, SCHEMAS["runs"])


def to_table(columns: ColumnLists, schema: Any) -> pa.Table:
    """Return columns as an Arrow table; numbers are not copied, and Arrow expands repeated values."""
    return pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema)


def integer_times(table: str) -> Any:
    """Return the schema of a table with its times as integers, µs since 1970-01-01 UTC."""
    plain = [pa.field(one.name, pa.int64() if pa.types.is_timestamp(one.type) else one.type) for one in SCHEMAS[table]]
    return pa.schema(plain)


_NUMBER_COLUMNS: Mapping[str, Callable[[], Any]] = {  # of points: each row has a value of its own
    "step": lambda: array("q"), "time": lambda: array("q"), "value": lambda: array("d"),
}  # fmt: skip


def _column(column: Any, kind: Any) -> Any:
    if isinstance(column, array):
        return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(column)])
    if isinstance(column, RepeatedColumn):
        if not column.values:
            return pa.array([], kind)
        ends = pa.array(column.ends, pa.int64())
        return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, pa.array(column.values, kind)))
    return pa.array(column, kind)


def _extend_points(table: ColumnLists, envelope: Envelope, event: ev.Points) -> None:
    total = 0
    for series in event.series:
        count = len(series.values)
        total += count
        table["series"].add(series_name(series.name, series.labels, event.step_name), count)
        table["name"].add(series.name, count)
        table["step"] += series.steps
        table["time"] += series.times
        table["value"] += series.values
    for column, value in (
        ("run_id", envelope.run_id), ("attempt", event.attempt), ("producer", envelope.producer),
        ("step_name", event.step_name),
    ):  # fmt: skip
        table[column].add(value, total)


def _append(table: ColumnLists, row: Sequence[Any]) -> None:
    for column, value in zip(table.values(), row, strict=True):
        column.append(value)


def _typed(value: Typed) -> tuple[str, str]:
    return value.type, _json(to_plain(value))


def _facts(event: ev.AnyEvent) -> list[tuple[str, str, str]]:
    match event:
        case ev.Tags():
            return [("tag", name, text) for name, text in event.tags.items()]
        case ev.Note():
            return [("note", "", event.text)]
        case ev.RunLabels():
            return [("label", name, _json(to_plain(value))) for name, value in event.labels.items()]
        case ev.Environment():
            return [("environment", name, _json(to_plain(value))) for name, value in event.values.items()]
        case ev.Artifact():
            return [("artifact", event.name, _json(event.model_dump(exclude={"kind", "name", "time"})))]
        case ev.CodeIdentity():
            return [("code", event.step_name, _json(event.model_dump(exclude={"kind", "step_name", "time"})))]
        case ev.MetricDefined():
            said = event.model_dump(exclude={"kind", "name", "time"}, exclude_defaults=True)
            return [("metric", event.name, _json(said))]
        case ev.LifecycleStage():
            return [("lifecycle_stage", "", event.stage)]
        case ev.StepStarted() | ev.StepFinished() | ev.AttemptStarted() | ev.AttemptFinished():
            return [(event.kind, event.step_name, _json(event.model_dump(exclude={"kind", "step_name", "time"})))]
        case _:
            return []


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
