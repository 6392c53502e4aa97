"""
The binary form of curves, between Python and the page. Pure; the page reads it in dashboard/src/widget/frame.ts.

A frame is the length of its head (4 bytes, little-endian), the head (JSON, padded with spaces to a multiple of 8 with
the length), and then for each entry of `series` in the head its `rows` steps, `rows` times (µs) and `rows` values,
each a little-endian float64. JavaScript has no other numbers: steps above 2^53 are rounded.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LENGTH_BYTES = 4
ALIGNMENT = 8  # a Float64Array begins at a multiple of it


def encode(head: Mapping[str, Any], series: Iterable[tuple[Mapping[str, Any], Sequence[Sequence[float]]]]) -> bytes:
    """Return a frame: `series` are the facts of each and its columns, which are steps, times and values."""
    some = list(series)
    facts = [{**about, "rows": len(columns[0])} for about, columns in some]
    written = json.dumps({**head, "series": facts}, allow_nan=False).encode()
    written += b" " * (-(LENGTH_BYTES + len(written)) % ALIGNMENT)
    cells = array("d")
    for _, columns in some:
        for column in columns:
            cells.extend(column if isinstance(column, array) and column.typecode == "d" else array("d", column))
    if sys.byteorder == "big":
        cells.byteswap()
    return len(written).to_bytes(LENGTH_BYTES, "little") + written + cells.tobytes()


def decode(frame: bytes) -> tuple[dict[str, Any], list[tuple[array[float], array[float], array[float]]]]:
    """Return the head of a frame, and of each series its steps, times and values."""
    start = LENGTH_BYTES + int.from_bytes(frame[:LENGTH_BYTES], "little")
    head = json.loads(frame[LENGTH_BYTES:start])
    cells = array("d", frame[start:])
    if sys.byteorder == "big":
        cells.byteswap()
    columns, at = [], 0
    for one in head["series"]:
        rows = one["rows"]
        columns.append((cells[at : at + rows], cells[at + rows : at + 2 * rows], cells[at + 2 * rows : at + 3 * rows]))
        at += 3 * rows
    return head, columns
