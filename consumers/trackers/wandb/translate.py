"""
What a run is in W&B's terms: history rows, config, and the head of the run.

Pure: events in, plain values out; JSON is text here because W&B keeps it as text, NaN and Infinity bare as its own
client writes them. A history row holds the points of one step and one instant, so every point keeps its own time;
a name that comes twice in it starts another row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from consumers.trackers.edits import Scope, SeriesKey, edited_names, series_key
from consumers.trackers.run_status import RunStatus, fold_run_status
from schemas import events as ev
from schemas.mapping.names import wandb_key
from schemas.values import BoolValue, HistogramValue, JsonValue, StringValue, Typed, to_plain, to_text

MAX_BINS = 512  # of a W&B histogram
_CODES = {"finished": 0, "failed": 1, "killed": 1}


class Row(NamedTuple):
    """One history row: names with JSON text, at one step and one instant, of one attempt of one named step."""

    step: int
    time: int  # µs
    cells: dict[str, str]
    scope: str = ""  # what the names do not say of themselves, as JSON text


class Head(NamedTuple):
    """What W&B shows above a run; all of it may be sent again when it changes, but for the project."""

    name: str = ""
    project: str = ""
    group: str = ""
    notes: str = ""
    tags: Mapping[str, str] = {}

    def shown_tags(self) -> list[str]:
        """Return the tags as W&B has them: words of at most 64 characters."""
        return [f"{name}:{value}"[:64] if value else name[:64] for name, value in sorted(self.tags.items())]


class End(NamedTuple):
    """How the newest attempt of a run stands."""

    status: str
    code: int | None  # of its process; None while it runs
    message: str
    time: int | None  # µs, of the end
    attempt: int = 1

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.code is not None


def history(events: Iterable[ev.AnyEvent]) -> list[Row]:
    """Return the rows of some events, by time and then step."""
    open_rows: dict[tuple[int, int, str], dict[str, str]] = {}
    rows: list[Row] = []

    def put(time: int, step: int, scope: str, key: str, text: str) -> None:
        cells = open_rows.get((time, step, scope))
        if cells is None or key in cells:
            cells = open_rows[time, step, scope] = {}
            rows.append(Row(step, time, cells, scope))
        cells[key] = text

    for event in events:
        if isinstance(event, ev.Metrics | ev.SystemMetrics):
            for series in event.series:
                key, scope = cell_of(series_key(event, series))
                for step, time, value in zip(series.steps, series.times, series.values, strict=True):
                    put(time, step, scope, key, float_json(value))
        elif isinstance(event, ev.Values):
            for seen in event.values:
                key, scope = cell_of(series_key(event, seen))
                put(seen.time, seen.step, scope, key, cell_json(seen.value))
    rows.sort(key=lambda row: (row.time, row.step))  # stable: rows of one step and instant keep their order
    return rows


@lru_cache(maxsize=10_000)
def cell_of(series: SeriesKey) -> tuple[str, str]:
    """Return the key of a series' cells, and the scope of their rows as JSON text, empty when the key says all."""
    scope = Scope.of([series]).to_json()
    return wandb_key(series.written), dump(dump(scope)) if scope else ""


def float_json(value: float) -> str:
    """Return a float as W&B's own client writes it, every bit of it."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def cell_json(value: Typed) -> str:
    """Return an observation that is no metric point; never a bare number, which would be one."""
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


def config(events: Iterable[ev.AnyEvent]) -> dict[str, str]:
    """Return what some events add to a run's config, as JSON text by key; the last one of a key wins."""
    found: dict[str, str] = {}
    for event in events:
        match event:
            case ev.RunStarted() | ev.RunCreated() | ev.RunResumed():
                facts = {
                    "tag": event.tag, "parent_run_id": event.parent_run_id, "dag_hash": event.dag_hash,
                    "original_run_id": event.original_run_id, "run_config": event.run_config,
                }  # fmt: skip
                found |= {f"gw.{name}": dump(value) for name, value in facts.items() if value}
            case ev.Params():
                found |= {wandb_key(name): dump(to_plain(value)) for name, value in event.params.items()}
            case ev.RunLabels():
                found |= {f"gw.label.{name}": dump(to_plain(value)) for name, value in event.labels.items()}
            case ev.Tags():
                found |= {f"gw.tag.{name}": dump(value) for name, value in event.tags.items()}
            case ev.Environment():
                found |= {f"gw.env.{name}": dump(to_plain(value)) for name, value in event.values.items()}
            case ev.CodeIdentity():
                found["gw.code"] = dump(event.model_dump(exclude={"kind", "time"}))
            case ev.Artifact():
                found[f"gw.artifact.{event.name}"] = dump(event.model_dump(exclude={"kind", "name"}))
    return found


def fold_head(head: Head, events: Iterable[ev.AnyEvent]) -> Head:
    """Return the head after some events."""
    for event in events:
        match event:
            case ev.RunStarted() | ev.RunCreated() | ev.RunResumed():
                head = head._replace(
                    name=event.name or head.name, group=event.group or head.group, project=head.project or event.tag
                )
            case ev.Note():
                head = head._replace(notes=event.text)
            case ev.Renamed(what="run"):
                head = head._replace(name=event.new)
            case ev.Tags():
                head = head._replace(tags={**head.tags, **event.tags})
            case ev.Deleted(what="tag") | ev.Renamed(what="tag"):
                changed = edited_names(head.tags, [event], "tag")
                kept = {changed.get(name, name): text for name, text in head.tags.items()}
                head = head._replace(tags={name: text for name, text in kept.items() if name is not None})
    return head


def fold_end(end: End | None, events: Iterable[ev.AnyEvent]) -> End | None:
    """Return how the run stands after some events; None for one whose first attempt was not heard to end."""
    known = None if end is None else RunStatus(end.status, end.time, end.message, end.attempt)
    now = fold_run_status(known, events)
    return None if now is None else End(now.status, _CODES.get(now.status), now.message, now.time, now.attempt)


def dump(value: Any) -> str:
    """Return plain JSON text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
