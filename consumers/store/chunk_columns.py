"""
The points of a stored chunk, as columns again.

Pure: the reverse of what `copy_format.py` leaves out. Steps that are NULL rise evenly from min_step to max_step; times
that are NULL are min_time and a delta each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Columns(NamedTuple):
    """Consecutive points of a series in log order."""

    steps: Sequence[int]
    times: Sequence[int]  # µs
    values: Sequence[float]


def columns_of(chunk: Any) -> Columns:
    """Return the points of a row of `get_points`, `get_last_points` or `load_open_chunks`."""
    steps, times, count = chunk["steps"], chunk["times"], chunk["points"]
    if steps is None:
        first, last = chunk["min_step"], chunk["max_step"]
        stride = (last - first) // max(count - 1, 1)
        steps = range(first, last + 1, stride) if stride else [first] * count
    if times is None:
        times = list(map(chunk["min_time"].__add__, chunk["time_deltas"]))
    return Columns(steps, times, chunk["point_values"])
