"""
What events are as rows of tables, for people who ask with SQL or data frames.

Pure: events in, columns out. Nothing is renamed, cut or converted: names are as written, times are microseconds,
floats keep their bits, and a value that is no float64 is JSON text beside the name of its type.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

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
GROWING = ("points", "observations", "params", "tags", "lines")  # `runs` is one row a run, written anew
Columns = dict[str, Any]  # of each column a list, an array of numbers, or Repeated


class Repeated:
    """A column in which values stand many times in a row: the values, and before which row each ends."""

    __slots__ = ("ends", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.ends: list[int] = []

    def add(self, value: Any, count: int) -> None:
        """Add a value so many times."""
        end = count + (self.ends[-1] if self.ends else 0)
        if self.values and self.values[-1] == value:
            self.ends[-1] = end
        else:
            self.values.append(value)
            self.ends.append(end)


class Head(NamedTuple):
    """The row of a run."""

    status: str = "running"
    started: int | None = None
    ended: int | None = None
    name: str = ""
    tag: str = ""
    group: str = ""
    parent_run_id: str = ""
    message: str = ""


def rows(envelopes: Iterable[Envelope]) -> dict[str, Columns]:
    """Return what some envelopes of a run add to each growing table, in log order."""
    tables: dict[str, Columns] = {name: {column: [] for column in TABLES[name]} for name in GROWING}
    tables["points"] = {name: _POINTS.get(name, Repeated)() for name in TABLES["points"]}
    row: Sequence[Any]
    for envelope in envelopes:
        event = envelope.event
        match event:
            case ev.Metrics() | ev.SystemMetrics():
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
                for kind, name, text in _words(event):
                    _append(tables["tags"], (envelope.run_id, kind, name, text, event.time))
    return tables


def fold(head: Head, end: RunStatus | None, events: Iterable[ev.AnyEvent]) -> tuple[Head, RunStatus | None]:
    """Return the row of a run and how the run ended after some events."""
    for event in events:
        end = fold_run_status(end, [event])
        if event.kind in STATUS_AFTER:
            status, ended, message = STATUS_AFTER[event.kind], None, head.message
            if end is not None:
                status, ended, message, _ = end
            head = head._replace(status=status, ended=ended, message=message)
        match event:
            case ev.RunStarted() | ev.RunCreated() | ev.RunResumed():
                head = head._replace(
                    started=event.time if head.started is None else head.started,
                    name=event.name or head.name, tag=event.tag or head.tag, group=event.group or head.group,
                    parent_run_id=event.parent_run_id or head.parent_run_id,
                )  # fmt: skip
            case ev.Renamed(what="run"):
                head = head._replace(name=event.new)
    return head, end


def head_row(run_id: str, head: Head) -> Columns:
    """Return the table of one run's row."""
    return {name: [value] for name, value in ({"run_id": run_id} | head._asdict()).items()}


_POINTS: Mapping[str, Callable[[], Any]] = {  # columns of which each row has its own value
    "step": lambda: array("q"), "time": lambda: array("q"), "value": lambda: array("d"),
}  # fmt: skip


def _extend_points(table: Columns, envelope: Envelope, event: ev.Metrics | ev.SystemMetrics) -> None:
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


def _append(table: Columns, row: Sequence[Any]) -> None:
    for column, value in zip(table.values(), row, strict=True):
        column.append(value)


def _typed(value: Typed) -> tuple[str, str]:
    return value.type, _json(to_plain(value))


def _words(event: ev.AnyEvent) -> list[tuple[str, str, str]]:
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
        case ev.StepStarted() | ev.StepFinished() | ev.AttemptStarted() | ev.AttemptFinished():
            return [(event.kind, event.step_name, _json(event.model_dump(exclude={"kind", "step_name", "time"})))]
        case _:
            return []


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
