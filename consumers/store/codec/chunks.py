"""
Restore the points of a stored chunk as columns.

Pure: this restores what `copy_format.py` omits. Steps that are NULL rise evenly from min_step to max_step; times that
are NULL are min_time plus one delta each.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from consumers.store.codec.array_format import deltas_of, floats_of, ints_of
from schemas.columns import FloatArray, IntArray


class ChunkColumns(NamedTuple):
    """Consecutive points of a series in log order."""

    steps: Sequence[int]
    times: Sequence[int]  # µs
    values: Sequence[float]


def columns_of(chunk: Any) -> ChunkColumns:
    """Return the points of one row of `get_points`, `get_last_points` or `load_open_chunks`."""
    steps, times = chunk["steps"], chunk["times"]
    if steps is None:
        steps = _even_steps(chunk)
    if times is None:
        times = list(map(chunk["min_time"].__add__, chunk["time_deltas"]))
    return ChunkColumns(steps, times, chunk["point_values"])


def unpack(chunks: Iterable[Any]) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the steps, times and values of rows of `packed_chunks`, concatenated."""
    steps, times, values = array("q"), array("q"), array("d")
    for chunk in chunks:
        steps.extend(steps_of(chunk))
        if chunk["times"] is None:
            times.extend(map(chunk["min_time"].__add__, deltas_of(chunk["time_deltas"])))
        else:
            times.extend(ints_of([chunk["times"]]))
        values.extend(floats_of([chunk["point_values"]]))
    return steps, times, values


def steps_of(chunk: Any) -> Sequence[int]:
    """Return the steps of one row of `packed_chunks`."""
    return _even_steps(chunk) if chunk["steps"] is None else ints_of([chunk["steps"]])


def _even_steps(chunk: Any) -> Sequence[int]:
    first, last, count = chunk["min_step"], chunk["max_step"], chunk["points"]
    stride = (last - first) // max(count - 1, 1)
    return range(first, last + 1, stride) if stride else [first] * count
