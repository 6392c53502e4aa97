"""
Rows of `series` events: the points of one record and series, or what coalescing left of several.

Pure. A row is made once for all readers that want it, with its JSON and with its corners: the first, lowest, highest
and last point and the first that is not finite, at their true steps. Thinning a row and merging two rows take corners
only, so they cost the same whatever the number of points. The corners of merged rows are the true ones of all points.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from schemas.columns import FloatArray, IntArray, dump_floats
from schemas.events import Series

FEW = 4  # points that are kept as they are


class Columns(NamedTuple):
    """Points in the order of the log."""

    steps: IntArray
    times: IntArray  # µs
    values: FloatArray

    def at(self, places: Sequence[int]) -> Columns:
        """Return the points at these places."""
        return Columns(
            array("q", [self.steps[at] for at in places]),
            array("q", [self.times[at] for at in places]),
            array("d", [self.values[at] for at in places]),
        )


class Of(NamedTuple):
    """The series and attempt of a row; rows of one can be merged."""

    run_id: str
    series: str  # written name
    name: str
    step_name: str
    labels: Mapping[str, str]
    attempt: int


class Key(NamedTuple):
    """What tells rows of different series apart; written names do not have the attempt."""

    run_id: str
    series: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Row:
    """Points of one series in records of one partition, from `first_offset` to `offset`, both included."""

    of: Of
    partition: int
    first_offset: int
    offset: int
    count: int  # points that were recorded
    corners: Columns
    points: int  # in the text
    text: bytes  # JSON; b"": of the corners, rendered when it is sent

    @property
    def key(self) -> Key:
        """The series and attempt."""
        return Key(self.of.run_id, self.of.series, self.of.attempt)


def row_of(of: Of, partition: int, offset: int, series: Series) -> Row:
    """Return the row of one series of a record."""
    columns = Columns(series.steps, series.times, series.values)
    count = len(series.values)
    found = columns if count <= FEW else columns.at(corners(series.values))
    head = _document(of, partition, offset, offset, count, columns)
    return Row(of, partition, offset, offset, count, found, count, orjson.dumps(head))


def thin(row: Row) -> Row:
    """Return a row with the corners of its points only."""
    if row.points <= len(row.corners.values):
        return row
    return Row(
        row.of, row.partition, row.first_offset, row.offset, row.count, row.corners, len(row.corners.values), b""
    )


def merge(one: Row, later: Row) -> Row:
    """Return a row with the corners of two rows of the same series and attempt."""
    first, second = one.corners, later.corners
    both = Columns(first.steps + second.steps, first.times + second.times, first.values + second.values)
    found = both if len(both.values) <= FEW else both.at(corners(both.values))
    size = len(found.values)
    return Row(one.of, one.partition, one.first_offset, later.offset, one.count + later.count, found, size, b"")


def text_of(row: Row) -> bytes:
    """Return the JSON of a row."""
    if row.text:
        return row.text
    return orjson.dumps(_document(row.of, row.partition, row.first_offset, row.offset, row.count, row.corners))


def corners(values: FloatArray) -> list[int]:
    """Return the places of the first, lowest, highest and last value, and of the first that is not finite, in order."""
    last = len(values) - 1
    if math.isfinite(math.fsum(values) if last < FEW else sum(values)):
        places = {0, values.index(min(values)), values.index(max(values)), last}
        return sorted(places)
    finite = [at for at, value in enumerate(values) if math.isfinite(value)]
    found = {0, last}
    if len(finite) <= last:
        found.add(next(at for at, value in enumerate(values) if not math.isfinite(value)))
    if finite:
        found |= {min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)}
    return sorted(found)


def _document(of: Of, partition: int, first: int, offset: int, count: int, columns: Columns) -> dict[str, Any]:
    sent = len(columns.values)
    document: dict[str, Any] = {**of._asdict(), "partition": partition, "offset": offset, "count": count}
    document["labels"] = dict(of.labels)
    if sent < count or first < offset:
        document |= {"first_offset": first, "left_out": count - sent}
    document["columns"] = {
        "steps": list(columns.steps), "times": list(columns.times), "values": dump_floats(columns.values)
    }  # fmt: skip
    return document
