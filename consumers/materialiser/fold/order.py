"""
Whether a column of large numbers rises, found by arithmetic on all of them at once.

Pure. Times are nearly always in order, and to sort 1,000 of them takes longer, because they become objects.
"""

from __future__ import annotations

import sys

from consumers.store.rows import CHUNK_POINTS
from schemas.columns import IntArray

FEW = 400  # numbers: of fewer it is faster to sort them
_SIGNS = int.from_bytes((1 << 63).to_bytes(8, "little") * CHUNK_POINTS, "little")  # the highest bit of each lane


def rises(column: IntArray) -> bool:
    """
    Return True if no number is below the one before; False also where some of many is negative.

    The numbers are lanes of 64 bits of one large number, each below 2^63. So 2^63 + next - this stays within its lane,
    and has the highest bit where next >= this.
    """
    count = len(column)
    if not FEW <= count <= CHUNK_POINTS or sys.byteorder != "little":
        return sorted(column) == column.tolist()
    lanes, signs = int.from_bytes(column.tobytes(), "little"), _SIGNS >> 64 * (CHUNK_POINTS - count)
    if lanes & signs:
        return False
    highest = signs >> 64
    following, rest = lanes >> 64, (1 << 64 * (count - 1)) - 1
    return ((following | highest) - (lanes & rest)) & highest == highest
