"""
Whether a column of numbers rises or falls, found by arithmetic on all of them at once.

Pure. Times are nearly always in order, and to sort 1,000 of them takes longer, because they become objects.
"""

from __future__ import annotations

import sys
from array import array

from consumers.store.rows import CHUNK_POINTS

FEW = 400  # numbers: of fewer it is faster to sort them
SIZES = (4, 8)  # bytes of a number
# The lowest and the highest bit of each lane, by size.
_ONES = {size: int.from_bytes((1).to_bytes(size, "little") * CHUNK_POINTS, "little") for size in SIZES}
_SIGNS = {size: _ONES[size] << 8 * size - 1 for size in SIZES}


def rises(column: array[int], *, strictly: bool = False) -> bool:
    """
    Return True if no number is below the one before, or `strictly` if each is above; False also where some of many is
    negative. The numbers have four or eight bytes.

    They are lanes of, say, 64 bits of one large number, each below 2^63. So 2^63 + next - this stays within its lane,
    and has the highest bit where next >= this.
    """
    count, size = len(column), column.itemsize
    if not FEW <= count <= CHUNK_POINTS or sys.byteorder != "little":
        numbers = column.tolist()
        return sorted(numbers) == numbers and not (strictly and len(set(numbers)) < count)
    bits, left_out = 8 * size, CHUNK_POINTS - count
    lanes, signs = int.from_bytes(column.tobytes(), "little"), _SIGNS[size] >> bits * left_out
    if lanes & signs:
        return False
    highest, least = signs >> bits, _ONES[size] >> bits * (left_out + 1) if strictly else 0
    following, rest = lanes >> bits, (1 << bits * (count - 1)) - 1
    return ((following | highest) - (lanes & rest) - least) & highest == highest


def falls(column: array[int]) -> bool:
    """Return True if each number is below the one before; False also where some of many is negative."""
    return rises(column[::-1], strictly=True)
