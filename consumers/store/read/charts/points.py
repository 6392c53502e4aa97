"""
Points of chunks in the order of a chart, and their summaries.

Pure. Nearly all series have rising steps: then nothing is sorted, nor where they fall. Where several processes wrote at
once, places of points are sorted by their steps alone, which takes 5 ms for 100,000 points. A column is unpacked once.
Times, and steps that rise or fall, become objects only for the points that a chart shows.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from consumers.store.codec.array_format import floats_of
from consumers.store.codec.order import falls, rises
from consumers.store.read.charts.parts import Part
from consumers.store.read.charts.summaries import Bucket, Odd, Sample


class _Corners(NamedTuple):
    """Places of the corners of a bucket: its points lie from `first` to before `end`."""

    first: int
    low: int  # `first`, if no value is finite
    high: int
    end: int
    odd: Sequence[int]  # of values that are not finite


class _Log(NamedTuple):
    """Points in the order of the log, where that is not the order of a chart."""

    places: Sequence[int]  # of each point in the order of the chart
    steps: Sequence[Sequence[int]]  # of each part
    times: Sequence[tuple[int, Sequence[int]]]  # of each part, as Part.times returns them


class OrderedPoints:
    """Points by step, then time, then place in the log."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = [part for part in parts if part.size]
        self._starts = [0, *accumulate(part.size for part in self._parts)]
        values = _values_of(self._parts).tolist()
        self._log: _Log | None = None  # None: points have the order of the log
        if not _rise(self._parts):
            self._log = _log_of(self._parts)
            is_reversed = isinstance(self._log.places, range)
            values = values[::-1] if is_reversed else list(map(values.__getitem__, self._log.places))
        self.values: Sequence[float] = values

    def __len__(self) -> int:
        return len(self.values)

    def samples(self, places: Sequence[int] | None = None) -> list[Sample]:
        """Return the points at these places, which rise; None: all points."""
        places = range(len(self)) if places is None else places
        steps, times = self._read(places) if self._log is None else self._sorted(self._log, places)
        values = self.values
        return list(map(Sample, steps, times, [values[at] for at in places]))

    def _read(self, places: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return steps and times of the points at these places in the log, which rise."""
        steps, times = list[int](), list[int]()
        for number, inside in self._by_part(places):
            part = self._parts[number]
            steps += part.steps_at(inside)
            times += part.times_at(inside)
        return steps, times

    def _sorted(self, log: _Log, places: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return steps and times of the points at these places in order, which rise."""
        wanted = [log.places[at] for at in places]
        in_log = wanted[::-1] if isinstance(log.places, range) else sorted(wanted)
        steps, times = list[int](), list[int]()
        for number, inside in self._by_part(in_log):
            column, (earliest, deltas) = log.steps[number], log.times[number]
            steps += [column[at] for at in inside]
            times += [earliest + deltas[at] for at in inside]
        if isinstance(log.places, range):
            return steps[::-1], times[::-1]
        place_of = dict(zip(in_log, zip(steps, times, strict=True), strict=True))
        found = [place_of[at] for at in wanted]
        return [step for step, _ in found], [time for _, time in found]

    def _by_part(self, places: Sequence[int]) -> Iterator[tuple[int, Sequence[int]]]:
        """Yield the number of each part with some of these places in the log, which rise, and their places in it."""
        begin = 0
        for number, (first, end) in enumerate(pairwise(self._starts)):
            until = bisect_left(places, end, begin)
            if begin < until:
                yield number, [at - first for at in places[begin:until]]
            begin = until

    def buckets(self, buckets: int) -> list[Bucket]:
        """Return at most so many buckets of consecutive points, each with about as many."""
        corners = self._corners(buckets)
        wanted = {at for one in corners for at in (one.first, one.low, one.high, one.end - 1, *one.odd[:1])}
        places = sorted(wanted)
        at = dict(zip(places, self.samples(places), strict=True))
        return [self._bucket(one, at) for one in corners]

    def drawn(self, buckets: int) -> tuple[list[Sample], list[Odd], list[int]]:
        """Return the corners of such buckets by step and time, what is not finite in them, and their sizes."""
        corners = self._corners(buckets)
        wanted = {at for first, low, high, end, _ in corners for at in (first, low, high, end - 1)}
        odd = self._odd([one.odd for one in corners if one.odd])
        return self.samples(sorted(wanted)), odd, [one.end - one.first for one in corners]

    def _corners(self, buckets: int) -> list[_Corners]:
        count = min(buckets, len(self))
        bounds = [number * len(self) // count for number in range(count + 1)] if count else []
        found = list[_Corners]()
        for first, end in pairwise(bounds):
            values = self.values[first:end]
            if math.isfinite(sum(values)) or all(map(math.isfinite, values)):  # a sum may be larger than any float64
                low, high = first + values.index(min(values)), first + values.index(max(values))
                found.append(_Corners(first, low, high, end, ()))
            else:
                found.append(self._odd_corners(first, end))
        return found

    def _odd_corners(self, first: int, end: int) -> _Corners:
        values = self.values
        finite = [at for at in range(first, end) if math.isfinite(values[at])]
        odd = [at for at in range(first, end) if not math.isfinite(values[at])]
        low, high = (pick(finite, key=values.__getitem__, default=first) for pick in (min, max))
        return _Corners(first, low, high, end, odd)

    def _odd(self, found: Sequence[Sequence[int]]) -> list[Odd]:
        firsts = self.samples([places[0] for places in found])
        return [Odd(*one[:2], len(places), self._kinds(places)) for one, places in zip(firsts, found, strict=True)]

    def _kinds(self, places: Sequence[int]) -> int:
        kinds = 0
        for at in places:
            kinds |= kind_of(self.values[at])
        return kinds

    def _bucket(self, one: _Corners, at: dict[int, Sample]) -> Bucket:
        odd = Odd(*at[one.odd[0]][:2], len(one.odd), self._kinds(one.odd)) if one.odd else None
        has_finite = len(one.odd) < one.end - one.first
        low, high = (at[one.low], at[one.high]) if has_finite else (None, None)
        return Bucket(one.end - one.first, at[one.first], low, high, at[one.end - 1], odd)


def kind_of(value: float) -> int:
    """Return the bit of a value that is not finite, see KINDS; 0 for one that is."""
    return 0 if math.isfinite(value) else 1 if math.isnan(value) else 2 if value > 0 else 4


def _values_of(parts: Sequence[Part]) -> array[float]:
    if all(part.size == part.row["points"] for part in parts):
        return floats_of([part.row["point_values"] for part in parts])
    values = array("d")
    for part in parts:
        values += part.values()
    return values


def _rise(parts: Sequence[Part]) -> bool:
    """Return whether the steps of all points rise, each chunk after the one before."""
    return all(part.rises for part in parts) and all(one.bounds()[1] < two.bounds()[0] for one, two in pairwise(parts))


def _log_of(parts: Sequence[Part]) -> _Log:
    steps, times = [part.steps() for part in parts], [part.times() for part in parts]
    count = sum(map(len, steps))
    if _fall(steps):
        return _Log(range(count - 1, -1, -1), steps, times)
    places: Sequence[int] = range(count)
    if not _times_rise(times):
        every = [earliest + delta for earliest, deltas in times for delta in deltas]
        places = sorted(places, key=every.__getitem__)
    columns = [column.tolist() if isinstance(column, array) else column for column in steps]
    joined = list(chain.from_iterable(columns))
    return _Log(sorted(places, key=joined.__getitem__), columns, times)


def _times_rise(times: Sequence[tuple[int, Sequence[int]]]) -> bool:
    """Return whether no point is earlier than the one before it in the log."""
    last = -math.inf
    for earliest, deltas in times:
        if not rises(deltas if isinstance(deltas, array) else array("q", deltas)) or earliest + deltas[0] < last:
            return False
        last = earliest + deltas[-1]
    return True


def _fall(columns: Sequence[Sequence[int]]) -> bool:
    """Return whether the steps of all points fall, each chunk after the one before; False also for odd ones that do."""
    lowest = math.inf
    for steps in columns:
        if not isinstance(steps, array) or not steps[0] < lowest or not falls(steps):
            return False
        lowest = steps[-1]
    return True
