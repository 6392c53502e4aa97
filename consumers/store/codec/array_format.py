"""
Columns of numbers from PostgreSQL's binary format of arrays.

Pure. A driver decodes an array value by value: 100,000 points become 300,000 objects, and a chart keeps 4,000 of them.
Here a column has eight bytes per value, and two strided copies make it. The format, as array_send() writes it: a header
(dimensions, has nulls, type, number of values, first index), then each value as its length and its eight bytes,
big-endian. Arrays of chunks hold no NULL.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from typing import TypeVar

from schemas.columns import FloatArray, IntArray

_HEADER_WORDS = 5  # words of four bytes; each value has three more
_HEADER_BYTES, _VALUE_BYTES, _DELTA_BYTES = 20, 12, 8

N = TypeVar("N", int, float)


def ints_of(arrays: Iterable[bytes]) -> IntArray:
    """Return the values of several bigint[], concatenated."""
    return _column(array("q"), arrays)


def floats_of(arrays: Iterable[bytes]) -> FloatArray:
    """Return the values of several double precision[], concatenated."""
    return _column(array("d"), arrays)


def deltas_of(sent: bytes) -> array[int]:
    """Return the values of one int[]."""
    column = array("i")
    bare = bytearray(4 * max(0, (len(sent) - _HEADER_BYTES) // _DELTA_BYTES))
    with memoryview(bare) as into, into.cast("i") as bits, memoryview(sent) as of, of.cast("i") as words:
        bits[:] = words[_HEADER_WORDS + 1 :: 2]
    column.frombytes(bare)
    if sys.byteorder == "little":
        column.byteswap()
    return column


def shorts_of(sent: bytes) -> array[int]:
    """Return the values of one smallint[]."""
    column = array("h")
    with memoryview(sent) as of, of.cast("h") as words:
        column.frombytes(words[_HEADER_BYTES // 2 + 2 :: 3].tobytes())
    if sys.byteorder == "little":
        column.byteswap()
    return column


def _column(column: array[N], arrays: Iterable[bytes]) -> array[N]:
    bodies = b"".join([sent[_HEADER_BYTES:] for sent in arrays])  # an empty array has a shorter header and no more
    bare = bytearray(8 * (len(bodies) // _VALUE_BYTES))
    with memoryview(bare) as into, into.cast("i") as halves, memoryview(bodies) as of, of.cast("i") as words:
        halves[0::2] = words[1::3]
        halves[1::2] = words[2::3]
    column.frombytes(bare)
    if sys.byteorder == "little":
        column.byteswap()
    return column
