"""
What points and observations are as rows of a trackio project, and back.

Pure. All points of an envelope with one step and one instant share a row, as trackio's own `log` does it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from consumers.trackers.trackio import ids
from schemas import events as ev
from schemas.columns import NON_FINITE, float_to_json
from schemas.facts import SeriesColumns
from schemas.mapping.names import trackio_key, trackio_name
from schemas.names import series_name
from schemas.values import HistogramValue, IntValue, JsonValue, StringValue, Typed, to_plain, to_text
from schemas.wire import Envelope

INT64_MAX = 2**63 - 1
READ_POINTS = 65_536  # read back at once
Cells = dict[str, Any]
_POINTS = ev.Metrics | ev.SystemMetrics | ev.Values
_NOT_HELD = (
    ev.ConsoleText | ev.Heartbeat | ev.ProducerClosed
    | ev.StepStarted | ev.StepFinished | ev.AttemptStarted | ev.AttemptFinished
)  # fmt: skip


class Row(NamedTuple):
    """Metrics at one step and one instant, whose names are split in one way (see RowId)."""

    step: int
    time: int  # µs
    length: int
    cells: Cells


class Rows(NamedTuple):
    """Rows of some envelopes, as flat columns of SQL: timestamp, step, metrics and log id, one row after the other."""

    metrics: list[Any]
    system: list[Any]


class Change(NamedTuple):
    """An event that is applied once, in its place between the rows."""

    log_id: str
    event: ev.AnyEvent


def plan(envelopes: Iterable[Envelope]) -> Iterator[Rows | Change]:
    """Yield what some envelopes add, in log order."""
    rows = Rows([], [])
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, _POINTS):
            _add_rows(rows, ids.envelope_id(envelope), event)
        elif not isinstance(event, _NOT_HELD):
            if isinstance(event, ev.Deleted | ev.Renamed) and (rows.metrics or rows.system):
                yield rows  # an edit concerns what the log has before it
                rows = Rows([], [])
            yield Change(ids.envelope_id(envelope), event)
    yield rows


def columns(rows: Iterable[tuple[str, int, str | bytes, str | None]]) -> Iterator[SeriesColumns]:
    """Yield the metric points of rows (timestamp, step, metrics, log id), be they ours or written by trackio itself."""
    found: dict[str, tuple[list[int], list[int], list[float]]] = {}
    count = 0
    for timestamp, column, metrics, log_id in rows:
        row = ids.parse(log_id)
        if row is not None and row.kind == ids.OBSERVED:
            continue
        step = column if row is None or row.step is None else row.step
        time = ids.microseconds(timestamp) if row is None or row.time is None else row.time
        for key, value in orjson.loads(metrics).items():
            number = NON_FINITE.get(value) if isinstance(value, str) else value
            if isinstance(number, int | float) and not isinstance(number, bool):
                steps, times, values = found.setdefault(key, ([], [], []))
                steps.append(step)
                times.append(time // 1_000)
                values.append(float(number))
                count += 1
        if count >= READ_POINTS:
            yield from (SeriesColumns(trackio_name(key), *one) for key, one in found.items())
            found, count = {}, 0
    yield from (SeriesColumns(trackio_name(key), *one) for key, one in found.items())


def dump(value: Any) -> str:
    """Return JSON text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _add_rows(rows: Rows, envelope: str, event: ev.Metrics | ev.SystemMetrics | ev.Values) -> None:
    kind = {"metrics": ids.METRIC, "system_metrics": ids.SYSTEM, "values": ids.OBSERVED}[event.kind]
    prefix = 0 if event.step_name == ev.MAIN_STEP else len(event.step_name) + 1
    is_system = kind == ids.SYSTEM
    table = rows.system if is_system else rows.metrics
    found = _observation_rows(event) if isinstance(event, ev.Values) else _metric_rows(event)
    is_plain = event.attempt == 1 and not prefix and not is_system
    for number, row in enumerate(found):
        text = orjson.dumps(row.cells)
        if b"null" in text:  # how orjson writes what is not finite
            text = orjson.dumps({key: _finite(value) for key, value in row.cells.items()})
        if is_plain and not row.length and row.time <= ids.LATEST:
            log_id = f"{envelope}{kind}{number}"  # what str(RowId) gives, for a tenth of the time
        else:
            step = row.step if is_system else None
            time = row.time if row.time > ids.LATEST else None
            log_id = str(ids.RowId(envelope, kind, number, event.attempt, prefix, row.length, step, time))
        table += (ids.instant(row.time), row.step, text.decode(), log_id)


def _metric_rows(event: ev.Metrics | ev.SystemMetrics) -> list[Row]:
    # Series with the same steps and times, as one call of emit gives them, become rows together: one dict a row.
    groups: dict[tuple[bytes, bytes, str], tuple[ev.Series, dict[str, Sequence[float]]]] = {}
    for number, series in enumerate(event.series):
        key = trackio_key(series_name(series.name, series.labels, event.step_name))
        apart = series.name if "{" in series.name else ""
        place = series.steps.tobytes(), series.times.tobytes(), apart
        if place in groups and key in groups[place][1]:
            place = *place[:2], f"{{{number}"  # the same series once more
        groups.setdefault(place, (series, {}))[1][key] = series.values
    rows: list[Row] = []
    at: dict[tuple[int, int, int], Cells] = {}
    for series, columns in groups.values():
        names, length = tuple(columns), _length(series)
        for time, step, values in zip(series.times, series.steps, zip(*columns.values(), strict=True), strict=True):
            cells = at.get((time, step, length))
            if cells is None or not cells.keys().isdisjoint(names):
                cells = at[time, step, length] = {}
                rows.append(Row(step, time, length, cells))
            cells.update(zip(names, values, strict=True))
    return rows


def _observation_rows(event: ev.Values) -> list[Row]:
    rows: list[Row] = []
    at: dict[tuple[int, int, int], Cells] = {}
    for seen in event.values:
        key, length = trackio_key(series_name(seen.name, seen.labels, event.step_name)), _length(seen)
        cells = at.get((seen.time, seen.step, length))
        if cells is None or key in cells:
            cells = at[seen.time, seen.step, length] = {}
            rows.append(Row(seen.step, seen.time, length, cells))
        cells[key] = _cell(seen.value)
    return rows


def _length(named: ev.Series | ev.Observation) -> int:
    return len(named.name) if "{" in named.name else 0


def _cell(value: Typed) -> Any:
    match value:
        case HistogramValue():
            counts, edges = (list(map(float_to_json, one)) for one in (value.value.counts, value.value.edges))
            return {"_type": "trackio.histogram", "bins": edges, "values": counts}
        case StringValue() if value.value in NON_FINITE:
            return dump(value.value)  # in quotes: trackio takes the bare word for a number
        case IntValue() if not -INT64_MAX <= value.value <= INT64_MAX:
            return to_text(value)
        case JsonValue() if isinstance(value.value, dict) and "_type" in value.value:
            return to_text(value)  # what trackio would take for an object of its own
        case _:
            return to_plain(value)


def _finite(value: Any) -> Any:
    return float_to_json(value) if isinstance(value, float) else value
