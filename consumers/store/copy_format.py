"""
Chunk rows in PostgreSQL's binary COPY format.

Pure. A driver encodes an array value by value, which took half of the materialiser's time; here a column of numbers
becomes an array in two strided copies. The format: COPY, "Binary Format", in PostgreSQL's reference; an array is its
header and then a length and eight bytes a value, as array_recv() reads it.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator

from consumers.store.rows import ChunkRow
from schemas.columns import FloatArray, IntArray

HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no extension
END = b"\xff\xff"
PIECE_BYTES = 512 * 1024  # handed to the connection at once

_INT8, _FLOAT8 = 20, 701  # oids of pg_type
_FIELDS = 16
# Number of fields, then each with its length in front: series_id to last_value of a ChunkRow.
_FRONT = struct.Struct(">h i16s iq ii ii iq iq iq iq id id")
_BOUNDS = struct.Struct(">id id")  # min_value, max_value
_NO_BOUNDS = struct.pack(">ii", -1, -1)  # both NULL: no value is finite
_COUNT = struct.Struct(">ii")  # non_finite
_ARRAY = struct.Struct(">i iiiii")  # length; dimensions, has nulls, oid, values, first index
_EIGHT = int.from_bytes(b"\x00\x00\x00\x08", sys.byteorder)


def copy_stream(rows: Iterable[ChunkRow]) -> Iterator[bytes]:
    """Give what COPY chunks FROM STDIN (FORMAT binary) reads, in pieces; columns in the order of ChunkRow."""
    piece = bytearray(HEAD)
    for row in rows:
        piece += encode_row(row)
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece + END)


def encode_row(row: ChunkRow) -> bytes:
    """Return one row."""
    front = _FRONT.pack(
        _FIELDS, 16, row.series_id.bytes, 8, row.first_index, 4, row.month, 4, row.points, 8, row.min_step,
        8, row.max_step, 8, row.min_time, 8, row.max_time, 8, row.first_value, 8, row.last_value,
    )  # fmt: skip
    if row.min_value is None or row.max_value is None:
        bounds = _NO_BOUNDS
    else:
        bounds = _BOUNDS.pack(8, row.min_value, 8, row.max_value)
    columns = (
        _encode_array(row.steps, _INT8),
        _encode_array(row.times, _INT8),
        _encode_array(row.point_values, _FLOAT8),
    )
    return b"".join((front, bounds, _COUNT.pack(4, row.non_finite), *columns))


def _encode_array(column: IntArray | FloatArray, oid: int) -> bytes:
    count = len(column)
    ordered = column[:]
    if sys.byteorder == "little":
        ordered.byteswap()
    words = array("i", [_EIGHT]) * (3 * count)
    with memoryview(words) as into, memoryview(ordered) as of, of.cast("B") as bare, bare.cast("i") as halves:
        into[1::3] = halves[0::2]
        into[2::3] = halves[1::2]
    return _ARRAY.pack(20 + 12 * count, 1, 0, oid, count, 1) + words.tobytes()
