"""
Cut the records of a journal into events of the contract. Pure: no clock, no I/O.

`take_slice` finds the end of the next cut: after 1,000 points and values, after 256 KiB, or before an event of any
other kind, so that whatever was emitted before that event is in the log before it. `encode_events` writes the records
in between as JSON: one `metrics` event for each named step and attempt, one `metric_rows` event for each list of many
names, then one `values` event for each step and attempt. The same bytes always give the same events.
"""

from __future__ import annotations

import json
import math

from gateway.client.encoding.values import dumps, float_to_json
from gateway.client.journal.entries import kind_of
from gateway.client.journal.format import (
    EVENT,
    IS_INTEGER,
    IS_MICROS,
    POINT,
    POINT_ROW,
    SLOT,
    VALUE,
    Damage,
    read_columns,
    read_equal_rows,
    read_row_head,
    row_points,
    scan,
)
from gateway.client.journal.series import SeriesDefinition
from gateway.client.shipping.rows import MAX_ROW_POINTS, VALUE_BYTES, Row, encode_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from gateway.client.journal.format import ScannedRecord
    from gateway.client.journal.segment import Segment
    from gateway.client.journal.series import PointColumns

MAX_POINTS = 1_000  # points and values in one cut
MAX_BYTES = 262_144  # estimated JSON of one cut
POINT_BYTES = 48  # of a point in JSON: step, 16 digits of time, 18 of value, commas


class JournalSlice:
    """The records of one cut, in order."""

    __slots__ = (
        "column_points", "columns", "end", "event", "lost", "numbers", "points", "row_points", "rows", "start",
        "values",
    )  # fmt: skip

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.lost = 0  # damaged points and values in it
        self.event: bytes | None = None  # the JSON of an event that is neither metrics nor values
        self.numbers: list[int] = []  # the series of each point
        self.points: PointColumns = ([], [], [], [])  # flags, steps, times, values
        self.values: list[tuple[int, bytes]] = []  # series, JSON of step, time and value
        self.rows: dict[int, list[Row]] = {}  # by the number of their columns: those that stay rows
        self.row_points = 0  # number of points in these
        self.columns: list[tuple[int, PointColumns]] = []  # points of each series, instead of `numbers` and `points`
        self.column_points = 0  # number of points in these

    @property
    def count(self) -> int:
        """Number of points and values."""
        return len(self.numbers) + len(self.values) + self.row_points + self.column_points

    @property
    def is_full(self) -> bool:
        """Whether nothing more fits."""
        return len(self.numbers) + len(self.values) >= MAX_POINTS or self.row_points >= MAX_ROW_POINTS


def take_slice(segment: Segment, start: int, end: int, *, is_trusted: bool) -> JournalSlice:
    """
    Return the records of the next cut, which starts at `start` and ends at `end` or before.

    With `is_trusted` this process wrote the records, so their CRCs are not checked. Points and values that are damaged,
    or whose series is not defined in the segment, are skipped and counted in `lost`.
    """
    piece = JournalSlice(start)
    if not (is_trusted and (_take_points(segment, piece, end) or _take_equal_rows(segment, piece, end))):
        damage = Damage()
        _take_records(segment, piece, end, damage)
        damage.count_end()
        piece.lost = damage.lost
    return piece


def _take_records(segment: Segment, piece: JournalSlice, end: int, damage: Damage) -> None:
    size, known = 0, set[int]()
    for found in scan(memoryview(segment.map), piece.start, end, damage):
        if found.kind == EVENT:
            if not piece.count:
                piece.event, piece.end = found.payload, found.end
            else:
                piece.end = found.start
            return
        more = _json_size(segment, found, known, damage)
        if more and piece.count and (piece.is_full or size + more > MAX_BYTES):
            piece.end = found.start
            return
        size += more
        if more and found.kind == POINT_ROW:
            _add_row(segment, piece, found, known)
        elif more:
            _add(piece, found)
            known.add(found.series)
    piece.end = end


def _take_points(segment: Segment, piece: JournalSlice, end: int) -> bool:
    """Take a full cut the fast way, if it consists of points only and fits; otherwise return False."""
    stop = min(piece.start + MAX_POINTS * SLOT, end)
    kinds, numbers, points = read_columns(segment.map, piece.start, stop)
    if kinds.count(POINT) != len(kinds):  # text in other records has no byte below 32 at the position of a kind
        return False
    size = sum(segment.series[number].bytes for number in set(numbers)) + len(kinds) * POINT_BYTES
    if size > MAX_BYTES:
        return False
    piece.numbers, piece.points = numbers, points
    piece.end = stop
    return True


def _take_equal_rows(segment: Segment, piece: JournalSlice, end: int) -> bool:
    """Take a full cut the fast way, if it consists of rows of the same few series and fits; otherwise return False."""
    found = read_row_head(segment.map, piece.start, end)
    columns = None if found is None else segment.columns.get(found.columns)
    if found is None or columns is None or not columns.series:
        return False
    most = -(-MAX_POINTS // columns.count)  # as many as `_take_records` takes
    size = sum(segment.series[one].bytes for one in columns.series)
    rows = read_equal_rows(segment.map, piece.start, end, found, most)
    is_full = len(rows.steps) == most
    if not (is_full or piece.start + len(rows.steps) * found.size == end):
        return False
    if size + len(rows.steps) * columns.count * POINT_BYTES > MAX_BYTES:
        return False
    flags = bytes(len(rows.steps))
    piece.columns = [
        (number, (flags, rows.steps, rows.times, values))
        for number, values in zip(columns.series, rows.values, strict=True)
    ]
    piece.column_points = columns.count * len(rows.steps)
    piece.end = piece.start + len(rows.steps) * found.size
    return True


def _json_size(segment: Segment, found: ScannedRecord, known: set[int], damage: Damage) -> int:
    """Return about how many bytes of JSON a record adds; 0 when it adds nothing."""
    if found.kind == POINT_ROW:
        return _row_size(segment, found, known, damage)
    if found.kind not in (POINT, VALUE):
        return 0
    series = segment.series.get(found.series)
    if series is None:
        damage.lost += 1
        return 0
    if found.kind == VALUE:
        return series.bytes + len(found.payload)
    return POINT_BYTES + (0 if found.series in known else series.bytes)


def _row_size(segment: Segment, found: ScannedRecord, known: set[int], damage: Damage) -> int:
    columns = segment.columns.get(found.series)
    if columns is None:
        damage.lost += row_points(found.payload)
        return 0
    if columns.series:
        return columns.count * POINT_BYTES + sum(
            segment.series[one].bytes for one in columns.series if one not in known
        )
    return columns.count * VALUE_BYTES + (0 if -found.series in known else columns.bytes)


def _add_row(segment: Segment, piece: JournalSlice, found: ScannedRecord, known: set[int]) -> None:
    columns, row = segment.columns[found.series], Row.read(found.payload)
    if not columns.series:
        piece.rows.setdefault(found.series, []).append(row)
        piece.row_points += len(row.values)
        known.add(-found.series)  # numbers of series are positive
        return
    count = len(row.values)
    flags, steps, times, values = piece.points
    piece.numbers += columns.series
    flags += row.mask or bytes(count)  # type: ignore[operator]  # lists, here
    steps += [row.step] * count  # type: ignore[operator]
    times += [row.time] * count  # type: ignore[operator]
    values += row.values  # type: ignore[operator]
    known.update(columns.series)


def _add(piece: JournalSlice, found: ScannedRecord) -> None:
    if found.kind == POINT:
        piece.numbers.append(found.series)
        for column, cell in zip(piece.points, found.row, strict=True):
            column.append(cell)  # type: ignore[attr-defined]  # lists, here
    else:
        piece.values.append((found.series, found.payload))


class EncodedEvent:
    """One event as JSON."""

    __slots__ = ("kind", "points", "text", "values")

    def __init__(self, kind: str, text: bytes, points: int = 0, values: int = 0) -> None:
        self.kind = kind
        self.text = text
        self.points = points  # number of metric points in it
        self.values = values  # number of other values in it


def encode_events(segment: Segment, piece: JournalSlice) -> list[EncodedEvent]:
    """Return the events of one cut, in order."""
    if piece.event is not None:
        return [EncodedEvent(kind_of(piece.event), piece.event)]
    return [*_encode_metrics(segment, piece), *_encode_rows(segment, piece), *_encode_values(segment, piece)]


def _encode_metrics(segment: Segment, piece: JournalSlice) -> list[EncodedEvent]:
    if not (piece.numbers or piece.columns):
        return []
    scopes: dict[tuple[str, int], list[tuple[SeriesDefinition, PointColumns]]] = {}
    for number, columns in piece.columns or _group_by_series(piece.numbers, piece.points):
        series = segment.series[number]
        scopes.setdefault((series.step_name, series.attempt), []).append((series, columns))
    out, shared = [], _SharedColumns()
    for scope, several in scopes.items():
        written, last = [], 0
        for series, columns in several:
            text, time = _encode_series(series, columns, shared)
            written.append(text)
            last = max(last, time)
        whole = b'%b,"series":[%b]}' % (_opening("metrics", last, scope), b",".join(written))
        out.append(EncodedEvent("metrics", whole, points=sum(len(columns[0]) for _, columns in several)))
    return out


def _encode_rows(segment: Segment, piece: JournalSlice) -> list[EncodedEvent]:
    out, shared = [], _SharedColumns()
    for number, rows in piece.rows.items():
        columns = segment.columns[number]
        text, time = encode_rows(columns, rows, shared.integers, shared.floats)
        whole = b"%b,%b}" % (_opening("metric_rows", time, (columns.step_name, columns.attempt)), text)
        out.append(EncodedEvent("metric_rows", whole, points=columns.count * len(rows)))
    return out


def _group_by_series(numbers: list[int], points: PointColumns) -> list[tuple[int, PointColumns]]:
    """Return the points of each series, in the order in which the series first appear."""
    # Training emits the same names again and again in the same order, so every n-th point belongs to one series.
    count = len(numbers)
    turn = numbers.index(numbers[0], 1) if numbers.count(numbers[0]) > 1 else count
    names = numbers[:turn]
    if len(set(names)) == turn and (names * (count // turn + 1))[:count] == numbers:
        return [(name, _every(points, slice(at, None, turn))) for at, name in enumerate(names)]
    indexes: dict[int, list[int]] = {}
    for at, number in enumerate(numbers):
        indexes.setdefault(number, []).append(at)
    return [(number, _at(points, several)) for number, several in indexes.items()]


def _every(points: PointColumns, part: slice) -> PointColumns:
    flags, steps, times, values = points
    return flags[part], steps[part], times[part], values[part]


def _at(points: PointColumns, indexes: list[int]) -> PointColumns:
    flags, steps, times, values = points
    return (
        [flags[at] for at in indexes],
        [steps[at] for at in indexes],
        [times[at] for at in indexes],
        [values[at] for at in indexes],
    )


class _SharedColumns:
    """The steps and times of series that were emitted in the same calls, encoded once."""

    __slots__ = ("_flags", "_nanos", "_shown_steps", "_shown_times", "_steps", "floats", "integers", "last")

    def __init__(self) -> None:
        # Imported here because it imports orjson: with the first cut, not while training starts.
        from gateway.client.encoding.columns import floats, integers

        self.floats, self.integers = floats, integers
        self._steps: Sequence[int] = ()
        self._flags: Sequence[int] = ()
        self._nanos: Sequence[int] = ()
        self._shown_steps = self._shown_times = b""
        self.last = 0  # time of the last point, µs

    def steps(self, steps: Sequence[int]) -> bytes:
        """Return steps as JSON."""
        if steps != self._steps:
            self._steps, self._shown_steps = steps, self.integers(steps)
        return self._shown_steps

    def times(self, flags: Sequence[int], nanos: Sequence[int]) -> bytes:
        """Return times as JSON, in µs."""
        if nanos != self._nanos or flags != self._flags:
            self._flags, self._nanos = flags, nanos
            if any(flags):
                times = [time if flag & IS_MICROS else time // 1_000 for flag, time in zip(flags, nanos, strict=True)]
            else:
                times = [time // 1_000 for time in nanos]
            self._shown_times, self.last = self.integers(times), times[-1]
        return self._shown_times


def _encode_series(series: SeriesDefinition, columns: PointColumns, shared: _SharedColumns) -> tuple[bytes, int]:
    """Return a series as JSON, and the time of its last point in µs."""
    flags, steps, nanos, values = columns
    integer = b""
    kinds = set(flags) if any(flags) else ()
    if kinds and all(flag & IS_INTEGER for flag in kinds):
        integer, shown = b'"integer":true,', shared.integers([int(value) for value in values])
    elif (kinds and any(flag & IS_INTEGER for flag in kinds)) or not math.isfinite(sum(values)):
        shown = dumps([_number(flag, value) for flag, value in zip(flags, values, strict=True)]).encode()
    else:
        shown = shared.floats(values)
    written = (series.head, integer, shared.steps(steps), shared.times(flags, nanos), shown)
    return b'%b%b"steps":%b,"times":%b,"values":%b}' % written, shared.last


def _number(flag: int, value: float) -> float | int | str:
    return int(value) if flag & IS_INTEGER else float_to_json(value)


def _encode_values(segment: Segment, piece: JournalSlice) -> list[EncodedEvent]:
    scopes: dict[tuple[str, int], list[tuple[int, bytes]]] = {}
    for number, payload in piece.values:
        series = segment.series[number]
        scopes.setdefault((series.step_name, series.attempt), []).append((number, payload))
    out = []
    for scope, several in scopes.items():
        written = [segment.series[number].head + payload[1:] for number, payload in several]
        time = json.loads(several[-1][1])["time"]
        whole = b'%b,"values":[%b]}' % (_opening("values", time, scope), b",".join(written))
        out.append(EncodedEvent("values", whole, values=len(several)))
    return out


def _opening(kind: str, time: int, scope: tuple[str, int]) -> bytes:
    return f'{{"kind":"{kind}","time":{time},"step_name":{dumps(scope[0])},"attempt":{scope[1]}'.encode()


def split(values: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the entries of a large object in several smaller objects, in order, each below 256 KiB of JSON."""
    parts: list[dict[str, Any]] = [{}]
    room = MAX_BYTES
    for name, value in values.items():
        size = len(dumps({name: value}).encode())
        if size > room and parts[-1]:
            parts.append({})
            room = MAX_BYTES
        parts[-1][name] = value
        room -= size
    return parts
