"""
Translate points and observations into rows of a trackio project, and back.

Pure; config.py translates everything else. All points of an event with one step and one instant share a row, as in
trackio's own `log`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from consumers.trackers.protocol import Observed
from consumers.trackers.trackio import ids
from schemas import events as ev
from schemas.columns import NON_FINITE, float_to_json
from schemas.facts import SeriesColumns
from schemas.mapping.names import trackio_key, trackio_name
from schemas.names import series_name
from schemas.values import HistogramValue, IntValue, JsonValue, StringValue, Typed, to_plain, to_text
from schemas.wire import Envelope

INT64_MAX = 2**63 - 1
READ_POINTS = 65_536  # points of a read-back that are in memory at once
Cells = dict[str, Any]
_POINTS = ev.Points | ev.Values
_NOT_HELD = (
    ev.ConsoleText | ev.Heartbeat | ev.ProducerClosed | ev.LifecycleStage | ev.MetricDefined
    | ev.StepStarted | ev.StepFinished | ev.AttemptStarted | ev.AttemptFinished
)  # fmt: skip


class MetricRow(NamedTuple):
    """Metrics at one step and one instant, whose names are split in the same way (see RowId)."""

    step: int
    time: int  # µs
    length: int
    cells: Cells


class SqlRows(NamedTuple):
    """Rows in the form of SQL arguments: timestamp, step, metrics and log id of one row after the other."""

    metrics: list[Any]
    system: list[Any]


class Change(NamedTuple):
    """An event that is not a point, and is applied once, at its place between the rows."""

    log_id: str
    event: ev.AnyEvent


def translate(envelopes: Iterable[Envelope]) -> Iterator[SqlRows | Change]:
    """Yield what some events add, in log order."""
    rows = SqlRows([], [])
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, _POINTS):
            _add_rows(rows, ids.event_id(envelope), event)
        elif not isinstance(event, _NOT_HELD):
            if isinstance(event, ev.Deleted | ev.Renamed) and (rows.metrics or rows.system):
                yield rows  # an edit applies to what precedes it in the log
                rows = SqlRows([], [])
            yield Change(ids.event_id(envelope), event)
    yield rows


def read_columns(rows: Iterable[tuple[str, int, str | bytes, str | None]]) -> Iterator[SeriesColumns]:
    """Yield the metric points of rows (timestamp, step, metrics, log id), written by us or by trackio itself."""
    found: dict[str, tuple[list[int], list[int], list[float]]] = {}
    count = 0
    for timestamp, column, metrics, log_id in rows:
        row = ids.parse(log_id)
        if row is not None and row.kind == ids.OBSERVED:
            continue
        step = column if row is None or row.step is None else row.step
        time = ids.from_instant(timestamp) if row is None or row.time is None else row.time
        for key, value in orjson.loads(metrics).items():
            number = NON_FINITE.get(value) if isinstance(value, str) else value
            if isinstance(number, int | float) and not isinstance(number, bool):
                steps, times, values = found.setdefault(key, ([], [], []))
                steps.append(step)
                times.append(time)
                values.append(float(number))
                count += 1
        if count >= READ_POINTS:
            yield from map(_columns, found.items())
            found, count = {}, 0
    yield from map(_columns, found.items())


def read_observations(rows: Iterable[tuple[str, int, str | bytes, str | None]]) -> Iterator[Observed]:
    """Yield the values that are not numbers of rows (timestamp, step, metrics, log id)."""
    for timestamp, step, metrics, log_id in rows:
        row = ids.parse(log_id)
        if row is None or row.kind != ids.OBSERVED:
            continue
        time = ids.from_instant(timestamp) if row.time is None else row.time
        for key, cell in orjson.loads(metrics).items():
            is_histogram = isinstance(cell, dict) and cell.get("_type") == "trackio.histogram"
            value = {"counts": cell["values"], "edges": cell["bins"]} if is_histogram else cell
            yield Observed(trackio_name(key), step, time, value if isinstance(value, str) else dump(value))


def _columns(item: tuple[str, tuple[list[int], list[int], list[float]]]) -> SeriesColumns:
    key, (steps, times, values) = item
    return SeriesColumns(trackio_name(key), steps, [time // 1_000 for time in times], values, times)


def dump(value: Any) -> str:
    """Return a value as JSON text."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def _add_rows(rows: SqlRows, event_id: str, event: ev.Points | ev.Values) -> None:
    kind = {"metrics": ids.METRIC, "metric_rows": ids.METRIC, "system_metrics": ids.SYSTEM, "values": ids.OBSERVED}[
        event.kind
    ]
    prefix = 0 if event.step_name == ev.MAIN_STEP else len(event.step_name) + 1
    is_system = kind == ids.SYSTEM
    table = rows.system if is_system else rows.metrics
    found = _observation_rows(event) if isinstance(event, ev.Values) else _metric_rows(event)
    is_plain = event.attempt == 1 and not prefix and not is_system
    for number, row in enumerate(found):
        text = orjson.dumps(row.cells)
        if b"null" in text:  # orjson writes non-finite values so
            text = orjson.dumps({key: _finite(value) for key, value in row.cells.items()})
        if is_plain and not row.length and row.time <= ids.LATEST:
            log_id = f"{event_id}{kind}{number}"  # equals str(RowId), in a tenth of the time
        else:
            step = row.step if is_system else None
            time = row.time if row.time > ids.LATEST else None
            log_id = str(ids.RowId(event_id, kind, number, event.attempt, prefix, row.length, step, time))
        table += (ids.to_instant(row.time), row.step, text.decode(), log_id)


def _metric_rows(event: ev.Points) -> list[MetricRow]:
    # Series with the same steps and times, as one call of `emit` records them, share their rows: one dict for each row.
    groups: dict[tuple[bytes, bytes, str], tuple[ev.Series, dict[str, Sequence[float]]]] = {}
    for number, series in enumerate(event.series):
        key = trackio_key(series_name(series.name, series.labels, event.step_name))
        apart = series.name if "{" in series.name else ""
        group = series.steps.tobytes(), series.times.tobytes(), apart
        if group in groups and key in groups[group][1]:
            group = *group[:2], f"{{{number}"  # the same series again
        groups.setdefault(group, (series, {}))[1][key] = series.values
    rows: list[MetricRow] = []
    at: dict[tuple[int, int, int], Cells] = {}
    for series, columns in groups.values():
        names, length = tuple(columns), _length(series)
        for time, step, values in zip(series.times, series.steps, zip(*columns.values(), strict=True), strict=True):
            cells = at.get((time, step, length))
            if cells is None or not cells.keys().isdisjoint(names):
                cells = at[time, step, length] = {}
                rows.append(MetricRow(step, time, length, cells))
            cells.update(zip(names, values, strict=True))
    return rows


def _observation_rows(event: ev.Values) -> list[MetricRow]:
    rows: list[MetricRow] = []
    at: dict[tuple[int, int, int], Cells] = {}
    for seen in event.values:
        key, length = trackio_key(series_name(seen.name, seen.labels, event.step_name)), _length(seen)
        cells = at.get((seen.time, seen.step, length))
        if cells is None or key in cells:
            cells = at[seen.time, seen.step, length] = {}
            rows.append(MetricRow(seen.step, seen.time, length, cells))
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
            return dump(value.value)  # in quotes: trackio reads the bare word as a number
        case IntValue() if not -INT64_MAX <= value.value <= INT64_MAX:
            return to_text(value)
        case JsonValue() if isinstance(value.value, dict) and "_type" in value.value:
            return to_text(value)  # trackio would read it as an object of its own
        case _:
            return to_plain(value)


def _finite(value: Any) -> Any:
    return float_to_json(value) if isinstance(value, float) else value
