"""
Summaries of points, as columns, and how buckets of a chart are made of them.

Pure. A summary stands for some points of a series: how many, their first, lowest, highest and last one with true steps
and times, and their first one that is not finite. First and last are those by step, then time; lowest and highest are
of finite values. Summaries come from chunk_groups, from chunks, or from points that were read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, NamedTuple

KINDS = ("NaN", "Infinity", "-Infinity")  # by the bits 1, 2, 4


class Sample(NamedTuple):
    """One point of a chart."""

    step: int
    time: int  # µs
    value: float


class Odd(NamedTuple):
    """Points of a bucket that are not finite."""

    step: int  # of the first of them that was recorded
    time: int  # µs
    points: int
    kinds: int  # of all of them: bits as in KINDS


class Bucket(NamedTuple):
    """Some points of a chart: exact first, lowest, highest and last one."""

    points: int
    first: Sample
    low: Sample | None  # None: no value is finite
    high: Sample | None
    last: Sample
    odd: Odd | None

    def samples(self) -> Iterable[Sample]:
        """Return the corners, each once, in any order."""
        if self.low is None or self.high is None:
            return {self.first, self.last}
        return {self.first, self.low, self.high, self.last}


class Window(NamedTuple):
    """Which points are wanted: bounds of steps and times (µs), both ends included."""

    min_step: int = -(2**63)
    max_step: int = 2**63 - 1
    min_time: int = -(2**63)
    max_time: int = 2**63 - 1

    def holds(self, bounds: Window) -> bool:
        """Return whether points within these bounds are all wanted."""
        return (
            self.min_step <= bounds.min_step
            and bounds.max_step <= self.max_step
            and self.min_time <= bounds.min_time
            and bounds.max_time <= self.max_time
        )

    def meets(self, bounds: Window) -> bool:
        """Return whether some points within these bounds may be wanted."""
        return (
            self.min_step <= bounds.max_step
            and bounds.min_step <= self.max_step
            and self.min_time <= bounds.max_time
            and bounds.min_time <= self.max_time
        )

    def before(self, step: int | None) -> Window:
        """Return this window without points of this step and later ones."""
        if step == ALL.min_step:
            return self._replace(min_step=ALL.max_step, max_step=ALL.min_step)  # no step is before it
        return self if step is None else self._replace(max_step=min(self.max_step, step - 1))

    def since(self, step: int) -> Window:
        """Return this window without points before this step."""
        return self._replace(min_step=max(self.min_step, step))


ALL = Window()


@dataclass(slots=True)
class Summaries:
    """Summaries as columns; names as those of the table chunk_groups."""

    points: list[int] = field(default_factory=list)
    non_finite: list[int] = field(default_factory=list)
    min_steps: list[int] = field(default_factory=list)
    max_steps: list[int] = field(default_factory=list)
    min_times: list[int] = field(default_factory=list)
    max_times: list[int] = field(default_factory=list)
    first_times: list[int] = field(default_factory=list)
    first_values: list[float] = field(default_factory=list)
    low_steps: list[int] = field(default_factory=list)
    low_times: list[int] = field(default_factory=list)
    low_values: list[float] = field(default_factory=list)  # infinity: no value is finite
    high_steps: list[int] = field(default_factory=list)
    high_times: list[int] = field(default_factory=list)
    high_values: list[float] = field(default_factory=list)  # negative infinity: no value is finite
    last_times: list[int] = field(default_factory=list)
    last_values: list[float] = field(default_factory=list)
    odd_steps: list[int] = field(default_factory=list)
    odd_times: list[int] = field(default_factory=list)
    odd_kinds: list[int] = field(default_factory=list)
    chunks: list[tuple[int, int]] = field(default_factory=list)  # numbers of the first one and after the last

    def __len__(self) -> int:
        return len(self.points)

    def extend(self, other: Summaries) -> None:
        """Add these summaries."""
        for name in COLUMNS:
            getattr(self, name).extend(getattr(other, name))

    def chosen(self, places: Sequence[int]) -> Summaries:
        """Return those at these places, in this order."""
        first, end = (places[0], places[-1] + 1) if places else (0, 0)
        if list(range(first, end)) == list(places):  # they lie side by side
            if len(places) == len(self):
                return self
            return Summaries(*(column[first:end] for column in map(self.column, COLUMNS)))
        return Summaries(*([column[at] for at in places] for column in map(self.column, COLUMNS)))

    def column(self, name: str) -> list[Any]:
        """Return the column of this name."""
        found: list[Any] = getattr(self, name)
        return found

    def held_by(self, window: Window) -> list[bool]:
        """Return, of each, whether all its points are wanted."""
        low, high, early, late = window
        return [
            low <= step and last <= high and early <= time and latest <= late
            for step, last, time, latest in zip(
                self.min_steps, self.max_steps, self.min_times, self.max_times, strict=True
            )
        ]

    def met_by(self, window: Window) -> list[bool]:
        """Return, of each, whether some of its points may be wanted."""
        low, high, early, late = window
        return [
            low <= last and step <= high and early <= latest and time <= late
            for step, last, time, latest in zip(
                self.min_steps, self.max_steps, self.min_times, self.max_times, strict=True
            )
        ]

    def in_order(self) -> Summaries:
        """Return them by their first points."""
        keys = list(zip(self.min_steps, self.first_times, strict=True))
        if all(one <= two for one, two in pairwise(keys)):
            return self
        return self.chosen(sorted(range(len(self)), key=keys.__getitem__))


COLUMNS = tuple(one.name for one in fields(Summaries))


def buckets_of(summaries: Summaries, buckets: int) -> list[Bucket]:
    """Return at most so many buckets of consecutive summaries, each with about as many points."""
    ordered = summaries.in_order()
    total = sum(ordered.points)
    starts, seen, current = list[int](), 0, -1
    for at, points in enumerate(ordered.points):
        if (number := seen * buckets // total) > current:
            starts.append(at)
            current = number
        seen += points
    ends = [*starts[1:], len(ordered)]
    return [_merged(ordered, first, end) for first, end in zip(starts, ends, strict=True)]


def _merged(of: Summaries, first: int, end: int) -> Bucket:
    low = high = last = first
    if end - first > 1:
        lows, highs = of.low_values[first:end], of.high_values[first:end]
        low, high = first + lows.index(min(lows)), first + highs.index(max(highs))
        steps = of.max_steps[first:end]
        last = first + steps.index(max(steps))
        if steps.count(of.max_steps[last]) > 1:
            last = max(range(first, end), key=lambda at: (of.max_steps[at], of.last_times[at], at))
    count = sum(of.non_finite[first:end])
    has_finite = of.low_values[low] != math.inf
    return Bucket(
        sum(of.points[first:end]),
        Sample(of.min_steps[first], of.first_times[first], of.first_values[first]),
        Sample(of.low_steps[low], of.low_times[low], of.low_values[low]) if has_finite else None,
        Sample(of.high_steps[high], of.high_times[high], of.high_values[high]) if has_finite else None,
        Sample(of.max_steps[last], of.last_times[last], of.last_values[last]),
        _odd(of, range(first, end), count) if count else None,
    )


def _odd(of: Summaries, places: Iterable[int], count: int) -> Odd:
    found = [at for at in places if of.non_finite[at]]
    kinds = 0
    for at in found:
        kinds |= of.odd_kinds[at]
    return Odd(of.odd_steps[found[0]], of.odd_times[found[0]], count, kinds)
