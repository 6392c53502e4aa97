"""
Cut what a journal holds into events of the contract. Pure: no clock, no I/O.

`take` finds where the next cut ends: at 1,000 points and values, at 256 KiB, or before an event of any other kind, so
that what was emitted before it is in the log before it. `events_of` writes what lies between as JSON: one `metrics`
event for each named step and attempt, then one `values` event for each. The same bytes always give the same events.
"""

from __future__ import annotations

import json
import math

from gateway.client.journal_format import EVENT, IS_INTEGER, IS_MICROS, POINT, POINTS, SLOT, VALUE, scan
from gateway.client.values import dumps, float_to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from gateway.client.journal_format import Damage, Found
    from gateway.client.segment import Segment

    # Named step, attempt, labels sorted by name.
    Where = tuple[str, int, tuple[tuple[str, str], ...]]
    # Series, flags, steps, times, values of points, the same number of each.
    Columns = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[float, ...]]

MAX_POINTS = 1_000  # and values, in one cut
MAX_BYTES = 262_144  # estimated, in one cut
POINT_BYTES = 48  # of a point in JSON: step, 16 digits of time, 18 of value, commas
SERIES_BYTES = 96  # of a series around its columns
ENDINGS = frozenset({"run_finished", "run_failed", "run_killed"})


class Series:
    """What a number in a segment stands for."""

    __slots__ = ("attempt", "bytes", "head", "step_name")

    def __init__(self, name: str, where: Where) -> None:
        self.step_name, self.attempt, labels = where
        self.head = f'{{"name":{dumps(name)},' + (f'"labels":{dumps(dict(labels))},' if labels else "")
        self.bytes = SERIES_BYTES + len(self.head.encode())  # about what it costs around its columns

    @classmethod
    def read(cls, payload: bytes) -> Series:
        """Return the series that a record defines. Raises ValueError, KeyError or TypeError when it defines none."""
        found = json.loads(payload)
        name, step_name, attempt, labels = found["name"], found["step_name"], found["attempt"], found["labels"]
        return cls(str(name), (str(step_name), int(attempt), tuple((str(k), str(v)) for k, v in labels)))


def define(name: str, where: Where) -> bytes:
    """Return the payload of the record that defines a series."""
    return dumps({"name": name, "step_name": where[0], "attempt": where[1], "labels": where[2]}).encode()


class Piece:
    """The records of one cut, in order."""

    __slots__ = ("columns", "end", "event", "points", "start", "values")

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start
        self.event: bytes | None = None  # the JSON of an event that is neither metrics nor values
        self.points: list[tuple[int, int, int, int, float]] = []  # series, flags, step, time, value
        self.columns: Columns | None = None  # ... or the columns of these, when all are of one series
        self.values: list[tuple[int, bytes]] = []  # series, JSON of step, time and value


def take(segment: Segment, start: int, end: int, *, is_trusted: bool, damage: Damage | None = None) -> Piece:
    """
    Return the records of the next cut that starts at `start` and ends at `end` or before.

    `is_trusted`: this process wrote them, so their CRCs need no look. Points of a series that is defined nowhere in
    the segment are skipped and counted.
    """
    piece = Piece(start)
    if is_trusted and _take_points(segment, piece, end):
        return piece
    size, known = 0, set[int]()
    for found in scan(memoryview(segment.map), start, end, damage):
        if found.kind == EVENT:
            if not piece.points and not piece.values:
                piece.event, piece.end = found.payload, found.end
            else:
                piece.end = found.start
            return piece
        more = _size(segment, found, known, damage)
        full = size + more > MAX_BYTES or len(piece.points) + len(piece.values) >= MAX_POINTS
        if more and full and (piece.points or piece.values):
            piece.end = found.start
            return piece
        size += more
        if more:
            _add(piece, found)
            known.add(found.series)
    piece.end = end
    return piece


def _take_points(segment: Segment, piece: Piece, end: int) -> bool:
    """Take a full cut of points that nothing else comes between, quickly; False when it is not so simple."""
    stop = min(piece.start + MAX_POINTS * SLOT, end)
    with memoryview(segment.map) as view, view[piece.start : stop] as part:
        kinds, flags, numbers, steps, times, values = zip(*POINTS.iter_unpack(part), strict=True)
    if set(kinds) != {POINT}:  # text in other records has no byte below 32 where a kind is
        return False
    found = set(numbers)
    size = sum(segment.series[number].bytes for number in found) + len(kinds) * POINT_BYTES
    if size > MAX_BYTES:
        return False
    if len(found) == 1:
        piece.columns = (numbers, flags, steps, times, values)
    else:
        piece.points = list(zip(numbers, flags, steps, times, values, strict=True))
    piece.end = stop
    return True


def _size(segment: Segment, found: Found, known: set[int], damage: Damage | None) -> int:
    """Return about how many bytes of JSON a record adds; 0 when it adds nothing."""
    if found.kind not in (POINT, VALUE):
        return 0
    series = segment.series.get(found.series)
    if series is None:
        if damage is not None:
            damage.records += 1
        return 0
    if found.kind == VALUE:
        return series.bytes + len(found.payload)
    return POINT_BYTES + (0 if found.series in known else series.bytes)


def _add(piece: Piece, found: Found) -> None:
    if found.kind == POINT:
        piece.points.append((found.series, *found.row))
    else:
        piece.values.append((found.series, found.payload))


class Event:
    """One event as JSON."""

    __slots__ = ("kind", "points", "text", "values")

    def __init__(self, kind: str, text: bytes, points: int = 0, values: int = 0) -> None:
        self.kind = kind
        self.text = text
        self.points = points  # metric points in it
        self.values = values  # other values in it


def events_of(segment: Segment, piece: Piece) -> list[Event]:
    """Return the events of a piece, in order."""
    if piece.event is not None:
        return [Event(kind_of(piece.event), piece.event)]
    return [*_metrics(segment, piece), *_values(segment, piece)]


def kind_of(text: bytes) -> str:
    """Return the kind of an event whose JSON starts with it, as the journal writes it."""
    begin = len(b'{"kind":"')
    return text[begin : text.index(b'"', begin)].decode()


def _metrics(segment: Segment, piece: Piece) -> list[Event]:
    scopes: dict[tuple[str, int], list[tuple[Series, Columns]]] = {}
    for columns in _columns(piece):
        series = segment.series[columns[0][0]]
        scopes.setdefault((series.step_name, series.attempt), []).append((series, columns))
    out = []
    for scope, several in scopes.items():
        written, last = [], 0
        for series, columns in several:
            text, time = _series(series, columns)
            written.append(text)
            last = max(last, time)
        whole = f'{_opening("metrics", last, scope)},"series":[{",".join(written)}]}}'
        out.append(Event("metrics", whole.encode(), points=sum(len(columns[0]) for _, columns in several)))
    return out


def _columns(piece: Piece) -> list[Columns]:
    """Return the points of each series, in the order the series first appear."""
    if piece.columns is not None:
        return [piece.columns]
    points: dict[int, list[tuple[int, int, int, int, float]]] = {}
    for point in piece.points:
        points.setdefault(point[0], []).append(point)
    return [tuple(zip(*several, strict=True)) for several in points.values()]  # type: ignore[misc]  # zip loses the types


def _series(series: Series, columns: Columns) -> tuple[str, int]:
    """Return a series as JSON, and the time of its last point."""
    _, flags, steps, nanos, values = columns
    kinds = set(flags)
    if kinds <= {0, IS_INTEGER}:
        times = [time // 1_000 for time in nanos]
    else:
        times = [time if flag & IS_MICROS else time // 1_000 for flag, time in zip(flags, nanos, strict=True)]
    integer, shown = "", ""
    if all(flag & IS_INTEGER for flag in kinds):
        integer, shown = '"integer":true,', repr([int(value) for value in values])
    elif any(flag & IS_INTEGER for flag in kinds) or not math.isfinite(sum(values)):
        shown = dumps([_number(flag, value) for flag, value in zip(flags, values, strict=True)])
    else:
        shown = repr(list(values))
    written = f'"steps":{list(steps)!r},"times":{times!r},"values":{shown}}}'.replace(", ", ",")
    return f"{series.head}{integer}{written}", times[-1]


def _number(flag: int, value: float) -> float | int | str:
    return int(value) if flag & IS_INTEGER else float_to_json(value)


def _values(segment: Segment, piece: Piece) -> list[Event]:
    scopes: dict[tuple[str, int], list[tuple[int, bytes]]] = {}
    for number, payload in piece.values:
        series = segment.series[number]
        scopes.setdefault((series.step_name, series.attempt), []).append((number, payload))
    out = []
    for scope, several in scopes.items():
        written = [segment.series[number].head.encode() + payload[1:] for number, payload in several]
        time = json.loads(several[-1][1])["time"]
        whole = f'{_opening("values", time, scope)},"values":['.encode() + b",".join(written) + b"]}"
        out.append(Event("values", whole, values=len(several)))
    return out


def _opening(kind: str, time: int, scope: tuple[str, int]) -> str:
    return f'{{"kind":"{kind}","time":{time},"step_name":{dumps(scope[0])},"attempt":{scope[1]}'


def split(values: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the entries of one large object in several small ones, in order, each below 256 KiB of JSON."""
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
