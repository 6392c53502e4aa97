"""
Chunk rows in PostgreSQL's binary COPY format.

Pure. A driver encodes an array value by value, which took half of the materialiser's time; here two strided copies turn
a column of numbers into an array. The format: COPY, "Binary Format", in PostgreSQL's reference. An array is a header,
then a length and the bytes of each value, as array_recv() reads it.

Evenly rising steps are not stored: the first, the last and their number determine them. Times within 35 minutes are
stored as int4 differences from the earliest. Both are detected by arithmetic on all values of a column at once, as
lanes of one large number: a loop would take longer than everything else here. `chunks.py` restores them.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import cache, lru_cache

from consumers.store.rows import ChunkRow
from schemas.columns import FloatArray, IntArray

HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no extension
END = b"\xff\xff"
PIECE_BYTES = 512 * 1024  # bytes passed to the connection at once
FEW = 32  # arrays of up to this many values are packed faster value by value

COLUMNS = [*(column.name for column in fields(ChunkRow)), "time_deltas"]
MAX_SPAN = 2**53  # upper bound of steps that are not stored
MAX_DELTA = 2**31  # µs
Bounds = tuple[int, int, int, int]  # lowest and highest step, lowest and highest time, µs
_INT2, _INT4, _INT8, _FLOAT8 = 21, 23, 20, 701  # oids of pg_type
_NULL = struct.pack(">i", -1)
# Number of fields, then each field after its length: series_id to last_value of a ChunkRow.
_FRONT = struct.Struct(">h i16s iq ii ii iq iq iq iq id id")
_BOUNDS = struct.Struct(">id id")  # min_value, max_value
_NO_BOUNDS = struct.pack(">ii", -1, -1)  # both NULL, if no value is finite
_COUNT = struct.Struct(">ii")  # non_finite
_ARRAY = struct.Struct(">i iiiii")  # length; dimensions, has nulls, oid, values, first index
_TWO, _FOUR, _EIGHT = (
    int.from_bytes(size.to_bytes(width, "big"), sys.byteorder) for size, width in ((2, 2), (4, 4), (8, 4))
)


def copy_stream(rows: Iterable[ChunkRow]) -> Iterator[bytes]:
    """Yield the input of COPY chunks FROM STDIN (FORMAT binary) in pieces; columns in the order of ChunkRow."""
    piece = bytearray(HEAD)
    for row in rows:
        piece += encode_row(row)
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece + END)


def encode_row(row: ChunkRow) -> bytes:
    """Return the bytes of one row."""
    front = _FRONT.pack(
        len(COLUMNS), 16, row.series_id.bytes, 8, row.first_index, 4, row.month, 4, row.points, 8, row.min_step,
        8, row.max_step, 8, row.min_time, 8, row.max_time, 8, row.first_value, 8, row.last_value,
    )  # fmt: skip
    if row.min_value is None or row.max_value is None:
        ranges = _NO_BOUNDS
    else:
        ranges = _BOUNDS.pack(8, row.min_value, 8, row.max_value)
    bounds = row.min_step, row.max_step, row.min_time, row.max_time
    if row.points <= FEW:
        steps, times, deltas = _encode_few(row.steps.tobytes(), row.times.tobytes(), bounds)
    else:
        steps, times, deltas = _encode_places(row.steps, row.times, bounds)
    values = _encode_array(row.point_values, _FLOAT8)
    corners = _NULL if row.corners is None else _encode_array(row.corners, _INT8)
    ends = _NULL if row.ends is None else _encode_array(row.ends, _FLOAT8)
    pieces = _NULL if row.pieces is None else _encode_shorts(row.pieces)
    count = _COUNT.pack(4, row.non_finite)
    return b"".join((front, ranges, count, steps, times, values, corners, ends, pieces, deltas))


@lru_cache(maxsize=64)  # series that are recorded together have the same steps and times
def _encode_few(steps: bytes, times: bytes, bounds: Bounds) -> tuple[bytes, bytes, bytes]:
    return _encode_places(array("q", steps), array("q", times), bounds)


@lru_cache(maxsize=2_000)
def _lanes(count: int) -> tuple[int, int]:
    """Return 1, 1, 1, ... and 0, 1, 2, ... as lanes of 64 bits. A lane of a sum must not overflow."""
    return _number(array("q", [1]) * count), _number(array("q", range(count)))


def _encode_places(steps: IntArray, times: IntArray, bounds: Bounds) -> tuple[bytes, bytes, bytes]:
    """Return the columns steps, times and time_deltas of a row."""
    low, high, first, last = bounds
    written = _NULL if _is_even(steps, low, high) else _encode_array(steps, _INT8)
    deltas = _time_deltas(times, first, last)
    return written, _encode_array(times, _INT8) if deltas == _NULL else _NULL, deltas


def _number(column: IntArray) -> int:
    return int.from_bytes(column.tobytes(), sys.byteorder)


def _is_even(steps: IntArray, low: int, high: int) -> bool:
    """Return whether steps rise evenly; a single step does."""
    span, gaps = high - low, max(len(steps) - 1, 1)
    if low < 0 or high >= MAX_SPAN or span % gaps:
        return False
    if len(steps) == 1:
        return True
    ones, ramp = _lanes(len(steps))
    return _number(steps) == low * ones + span // gaps * ramp


def _time_deltas(times: IntArray, first: int, last: int) -> bytes:
    """Return the µs since the earliest time as int4[], NULL if they do not fit."""
    if first < 0 or last - first >= MAX_DELTA:
        return _NULL
    count = len(times)
    if count <= FEW:
        parts = [4] * (2 * count)
        parts[1::2] = [time - first for time in times]
        return _few("i", count).pack(20 + 8 * count, 1, 0, _INT4, count, 1, *parts)
    deltas = _number(times) - first * _lanes(count)[0]
    ordered = array("q")
    ordered.frombytes(deltas.to_bytes(8 * count, sys.byteorder))
    if sys.byteorder == "little":
        ordered.byteswap()
    words = array("i", [_FOUR]) * (2 * count)
    with memoryview(words) as into, memoryview(ordered) as of, of.cast("B") as bare, bare.cast("i") as halves:
        into[1::2] = halves[1::2]
    return _ARRAY.pack(20 + 8 * count, 1, 0, _INT4, count, 1) + words.tobytes()


def _encode_array(column: IntArray | FloatArray, oid: int) -> bytes:
    count = len(column)
    if count <= FEW:
        parts: list[int | float] = [8] * (2 * count)
        parts[1::2] = column
        return _few(column.typecode, count).pack(20 + 12 * count, 1, 0, oid, count, 1, *parts)
    ordered = column[:]
    if sys.byteorder == "little":
        ordered.byteswap()
    words = array("i", [_EIGHT]) * (3 * count)
    with memoryview(words) as into, memoryview(ordered) as of, of.cast("B") as bare, bare.cast("i") as halves:
        into[1::3] = halves[0::2]
        into[2::3] = halves[1::2]
    return _ARRAY.pack(20 + 12 * count, 1, 0, oid, count, 1) + words.tobytes()


def _encode_shorts(column: array[int]) -> bytes:
    ordered = column[:]
    if sys.byteorder == "little":
        ordered.byteswap()
    words = array("h", [0, _TWO, 0]) * len(column)
    words[2::3] = ordered
    return _ARRAY.pack(20 + 6 * len(column), 1, 0, _INT2, len(column), 1) + words.tobytes()


@cache
def _few(kind: str, count: int) -> struct.Struct:
    """Return the binary layout of an array of `count` values, at most FEW."""
    return struct.Struct(_ARRAY.format + f"i{kind}" * count)
