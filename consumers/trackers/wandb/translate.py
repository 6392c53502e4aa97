"""
Translate events into W&B's values: history rows, config items, and the header of a run.

Pure. JSON is text here because W&B stores it as text; NaN and Infinity are bare words, as W&B's own client writes them.
A history row holds the points of one step and one instant, so every point keeps its own time. A name that occurs twice
in a row starts another row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from consumers.trackers.edits import Scope, SeriesKey, edited_names, series_key
from consumers.trackers.run_status import RunStatus, fold_run_status
from schemas import events as ev
from schemas.mapping.names import wandb_key
from schemas.values import BoolValue, HistogramValue, JsonValue, StringValue, Typed, to_plain, to_text

STEP_KEY, SCOPE_KEY = "gw/step", "_gw"  # of every row: the step of the training code; of some: see Scope
MAX_BINS = 512  # of a W&B histogram
_EXIT_CODES = {"finished": 0, "failed": 1, "killed": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HistoryRow(NamedTuple):
    """One history row: cells at one step and one instant, of one attempt of one named step."""

    step: int
    time: int  # µs since 1970-01-01 UTC
    cells: dict[str, str]  # JSON text by key
    scope: str = ""  # what the keys do not express, as JSON text; see Scope


class RunHeader(NamedTuple):
    """
    What W&B shows at the top of a run. It may be sent again if it changes, except for the project.

    The field names are the keys of the stored state: do not rename them.
    """

    name: str = ""
    project: str = ""
    group: str = ""
    notes: str = ""
    tags: Mapping[str, str] = {}

    def shown_tags(self) -> list[str]:
        """Return the tags in W&B's form: texts of at most 64 characters."""
        return [f"{name}:{value}"[:64] if value else name[:64] for name, value in sorted(self.tags.items())]


class RunEnd(NamedTuple):
    """The status of the newest attempt of a run. The stored state holds it as a list: keep the order."""

    status: str
    exit_code: int | None  # None while it runs
    message: str
    time: int | None  # end of the attempt, µs
    attempt: int = 1

    @property
    def is_over(self) -> bool:
        """Whether the attempt has ended."""
        return self.exit_code is not None


def history_rows(events: Iterable[ev.AnyEvent]) -> list[HistoryRow]:
    """Return the rows of some events, ordered by time and then by step."""
    open_rows: dict[tuple[int, int, str], dict[str, str]] = {}
    rows: list[HistoryRow] = []

    def put(time: int, step: int, scope: str, key: str, text: str) -> None:
        cells = open_rows.get((time, step, scope))
        if cells is None or key in cells:
            cells = open_rows[time, step, scope] = {}
            rows.append(HistoryRow(step, time, cells, scope))
        cells[key] = text

    for event in events:
        if isinstance(event, ev.Points):
            for series in event.series:
                key, scope = cell_key(series_key(event, series))
                for step, time, value in zip(series.steps, series.times, series.values, strict=True):
                    put(time, step, scope, key, float_json(value))
        elif isinstance(event, ev.Values):
            for seen in event.values:
                key, scope = cell_key(series_key(event, seen))
                put(seen.time, seen.step, scope, key, cell_json(seen.value))
    rows.sort(key=lambda row: (row.time, row.step))  # stable: rows of one step and instant keep their order
    return rows


@lru_cache(maxsize=10_000)
def cell_key(series: SeriesKey) -> tuple[str, str]:
    """Return the key of a series' cells, and the scope of their rows as JSON text ("": the key is enough)."""
    scope = Scope.of([series]).to_json()
    return wandb_key(series.written), dump(dump(scope)) if scope else ""


def float_json(value: float) -> str:
    """Return a float as W&B's own client writes it, with all its bits."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def read_float(text: str) -> list[float]:
    """Return the number that is the JSON text of a cell; [] for one that is no finite number."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:  # NaN, Infinity
        return []
    return [float(found)] if isinstance(found, int | float) and not isinstance(found, bool) else []


def cell_json(value: Typed) -> str:
    """Return an observation as JSON text; never a bare number, which W&B would show as a metric point."""
    match value:
        case HistogramValue() if len(value.value.counts) <= MAX_BINS:
            counts, edges = (",".join(map(float_json, column)) for column in (value.value.counts, value.value.edges))
            return f'{{"_type":"histogram","values":[{counts}],"bins":[{edges}]}}'
        case BoolValue() | StringValue():
            return dump(value.value)
        case JsonValue() if isinstance(value.value, dict | list | str | bool | None):
            return dump(to_plain(value))
        case _:
            return dump(to_text(value))


def config_items(events: Iterable[ev.AnyEvent]) -> dict[str, str]:
    """Return what some events add to a run's config, as JSON text by key; the last event for a key wins."""
    items: dict[str, str] = {}
    for event in events:
        match event:
            case ev.RunStarted() | ev.RunCreated() | ev.RunResumed():
                facts = {
                    "tag": event.tag, "parent_run_id": event.parent_run_id, "dag_hash": event.dag_hash,
                    "original_run_id": event.original_run_id, "run_config": event.run_config,
                }  # fmt: skip
                items |= {f"gw.{name}": dump(value) for name, value in facts.items() if value}
            case ev.Moved() if event.tag:
                items["gw.tag"] = dump(event.tag)
            case ev.Params():
                items |= {wandb_key(name): dump(to_plain(value)) for name, value in event.params.items()}
            case ev.RunLabels():
                items |= {f"gw.label.{name}": dump(to_plain(value)) for name, value in event.labels.items()}
            case ev.Tags():
                items |= {f"gw.tag.{name}": dump(value) for name, value in event.tags.items()}
            case ev.Environment():
                items |= {f"gw.env.{name}": dump(to_plain(value)) for name, value in event.values.items()}
            case ev.CodeIdentity():
                items["gw.code"] = dump(event.model_dump(exclude={"kind", "time"}))
            case ev.Artifact():
                items[f"gw.artifact.{event.name}"] = dump(event.model_dump(exclude={"kind", "name"}))
    return items


def fold_header(header: RunHeader, events: Iterable[ev.AnyEvent]) -> RunHeader:
    """Return the header after some events."""
    for event in events:
        match event:
            case ev.RunStarted() | ev.RunCreated() | ev.RunResumed():
                header = header._replace(group=event.group or header.group)
            case ev.Note():
                header = header._replace(notes=event.text)
            case ev.Renamed(what="run"):
                header = header._replace(name=event.new)
            case ev.Tags():
                header = header._replace(tags={**header.tags, **event.tags})
            case ev.Deleted(what="tag") | ev.Renamed(what="tag"):
                changes = edited_names(header.tags, [event], "tag")
                tags = {changes.get(name, name): text for name, text in header.tags.items()}
                header = header._replace(tags={name: text for name, text in tags.items() if name is not None})
    return header


def fold_end(end: RunEnd | None, events: Iterable[ev.AnyEvent]) -> RunEnd | None:
    """Return the status of a run after some events; None while its first attempt has not reported an end."""
    known = None if end is None else RunStatus(end.status, end.time, end.message, end.attempt)
    now = fold_run_status(known, events)
    return None if now is None else RunEnd(now.status, _EXIT_CODES.get(now.status), now.message, now.time, now.attempt)


def to_instant(microseconds: int) -> str:
    """Return a time as ISO 8601 text with microseconds; times after the year 9999 as seconds."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")
    except OverflowError:  # after the year 9999
        return to_seconds(microseconds)


def from_instant(text: str | None) -> int | None:
    """Return the µs that `to_instant` wrote."""
    if text is None:
        return None
    if "T" not in text:
        return int(text.replace(".", ""))
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def to_seconds(microseconds: int) -> str:
    """Return µs as decimal seconds, exactly."""
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


def dump(value: Any) -> str:
    """Return a value as JSON text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
