"""
Which points of a chunk a chart needs.

Pure. What is not needed is not unpacked: nearly all chunks store no steps, because they rise evenly, and times as
differences.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from consumers.store.codec.array_format import deltas_of, floats_of, ints_of
from consumers.store.codec.chunks import steps_of, unpack
from consumers.store.read.charts.summaries import Window
from schemas.columns import FloatArray


class Part(NamedTuple):
    """Points of one chunk in the order of the log. Places of points are counted from its first one."""

    row: Any  # of a statement that packs chunks
    first: int  # number of its first point in the chunk
    end: int
    chosen: Sequence[int] | None = None  # numbers of its points in the chunk, if they do not lie side by side

    @property
    def size(self) -> int:
        """The number of its points."""
        return self.end - self.first if self.chosen is None else len(self.chosen)

    @property
    def rises(self) -> bool:
        """Whether the steps rise evenly from point to point."""
        return self.chosen is None and _rises(self.row)

    def bounds(self) -> tuple[int, int]:
        """Return the lowest and the highest step of steps that rise."""
        low, stride = self.row["min_step"], _stride(self.row)
        return low + self.first * stride, low + (self.end - 1) * stride

    def values(self) -> FloatArray:
        """Return the values of all its points."""
        values = floats_of([self.row["point_values"]])
        if self.chosen is not None:
            return type(values)("d", map(values.__getitem__, self.chosen))
        return values if self.size == self.row["points"] else values[self.first : self.end]

    def steps(self) -> Sequence[int]:
        """Return the steps of all its points."""
        steps = steps_of(self.row)
        return steps[self.first : self.end] if self.chosen is None else [steps[at] for at in self.chosen]

    def steps_at(self, places: Sequence[int]) -> list[int]:
        """Return the steps of the points at these places."""
        if self.rises:
            first, stride = self.bounds()[0], _stride(self.row)
            return [first + at * stride for at in places]
        return list(map(self.steps().__getitem__, places))

    def times(self) -> tuple[int, Sequence[int]]:
        """Return a time (µs), and how much later each of its points is."""
        is_short = self.row["times"] is None
        times = deltas_of(self.row["time_deltas"]) if is_short else ints_of([self.row["times"]])
        earliest = self.row["min_time"] if is_short else 0
        return earliest, times[self.first : self.end] if self.chosen is None else [times[at] for at in self.chosen]

    def times_at(self, places: Sequence[int]) -> list[int]:
        """Return the times (µs) of the points at these places."""
        earliest, deltas = self.times()
        return [earliest + deltas[at] for at in places]


def part_of(row: Any, window: Window) -> Part:
    """Return the points of a packed chunk that are wanted."""
    bounds = Window(row["min_step"], row["max_step"], row["min_time"], row["max_time"])
    if window.holds(bounds):
        return Part(row, 0, row["points"])
    if not window.meets(bounds):
        return Part(row, 0, 0)
    if _rises(row) and (times := _times_of(row, window)) is not None:
        stride = _stride(row)
        first = -(-max(0, window.min_step - bounds.min_step) // stride) if stride else 0
        last = (min(window.max_step, bounds.max_step) - bounds.min_step) // stride if stride else 0
        first = max(first, bisect_left(times, window.min_time))
        return Part(row, first, max(first, min(last + 1, bisect_right(times, window.max_time))))
    chosen = [
        at
        for at, (step, time, _) in enumerate(zip(*unpack((row,)), strict=True))
        if window.min_step <= step <= window.max_step and window.min_time <= time <= window.max_time
    ]
    if chosen and chosen[-1] - chosen[0] + 1 == len(chosen):
        return Part(row, chosen[0], chosen[-1] + 1)
    return Part(row, 0, len(chosen), chosen)


def _times_of(row: Any, window: Window) -> Sequence[int] | None:
    """Return what stands for the times of a chunk if they rise or are all wanted; None otherwise."""
    if window.min_time <= row["min_time"] and row["max_time"] <= window.max_time:
        return [row["min_time"]] * row["points"]
    times = unpack((row,))[1].tolist()
    return times if times == sorted(times) else None


def _rises(row: Any) -> bool:
    return row["steps"] is None and (row["points"] == 1 or row["min_step"] < row["max_step"])


def _stride(row: Any) -> int:
    """Return what the step of a point is above that of the point before, if the chunk does not store its steps."""
    return int((row["max_step"] - row["min_step"]) // max(row["points"] - 1, 1))
