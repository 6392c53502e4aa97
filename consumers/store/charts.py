"""
Fewer points for a chart, and never a spike less.

Pure. Each bucket keeps its first, lowest, highest and last point (M4: what a line looks like in one pixel column), so a
chart of n buckets shows every extreme exactly; nothing is sampled at random. Where a restart went over steps again,
the later attempt's points stand for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import itemgetter, lt
from typing import Any, NamedTuple

from consumers.store.rows import CHUNK_POINTS

_IN_ORDER = itemgetter(0, 1)  # step and time of a Sample


class Sample(NamedTuple):
    """One point of a chart."""

    step: int
    time: int  # µs
    value: float


def supersede(attempts: Sequence[Sequence[Sample]]) -> list[Sample]:
    """Return the points of all attempts (first attempt first), sorted, without those a later attempt went over."""
    kept: list[Sample] = []
    for points in attempts:
        if points:
            restart = min(point.step for point in points)
            kept = [point for point in kept if point.step < restart]
            kept.extend(points)
    return sorted(kept, key=_IN_ORDER)


def group_points(points: int, buckets: int) -> int:
    """Return how many points of a long series make one group of its chart: whole chunks, at most `buckets` groups."""
    chunks = -(-points // CHUNK_POINTS)
    return -(-chunks // buckets) * CHUNK_POINTS


def corners_of(group: Mapping[str, Any]) -> list[Sample]:
    """
    Return the samples of a row of `get_chart_groups`: first, lowest, highest, last.

    The values are exact, those of the points themselves. An extreme stands in the middle of its chunk, which is within
    500 points of its place: a twentieth of a pixel where 1,000 pixels show 10 million points.
    """
    found = []
    if group["first_value"] is not None:
        found.append(Sample(group["min_step"], group["min_time"], group["first_value"]))
    for value, step, time in filter(None, (group["lowest"], group["highest"])):
        found.append(Sample(int(step), int(time), value))
    if group["last_value"] is not None:
        found.append(Sample(group["max_step"], group["max_time"], group["last_value"]))
    return found


def shrink(points: Sequence[Sample], buckets: int) -> list[Sample]:
    """Return at most 4 x `buckets` of these sorted points: first, lowest, highest and last of each bucket."""
    if len(points) <= 4 * buckets:
        return list(points)
    kept: list[Sample] = []
    size = len(points) / buckets
    for number in range(buckets):
        kept.extend(_corners(points[round(number * size) : round((number + 1) * size)]))
    return kept


def shrink_columns(
    steps: Sequence[int], times: Sequence[int], values: Sequence[float], buckets: int
) -> list[Sample] | None:
    """
    Return what `shrink` returns of these points; None where steps do not rise from each point to the next.

    Columns of 100,000 points take a tenth of the time that as many samples take.
    """
    if not all(map(lt, steps, islice(steps, 1, None))):
        return None
    size = len(steps) / buckets
    if len(steps) <= 4 * buckets:
        return list(map(Sample, steps, times, values))
    kept: list[Sample] = []
    for number in range(buckets):
        first, end = round(number * size), round((number + 1) * size)
        part = values[first:end]
        if math.isfinite(sum(part)):  # true of no bucket that holds NaN or an infinity
            places = {0, part.index(min(part)), part.index(max(part)), end - first - 1}
            kept += [Sample(steps[first + at], times[first + at], part[at]) for at in sorted(places)]
        else:
            kept += _corners(list(map(Sample, steps[first:end], times[first:end], part)))
    return kept


def _corners(bucket: Sequence[Sample]) -> Iterable[Sample]:
    """First, lowest, highest, last, and the first that is not finite, in order."""
    finite = [index for index, point in enumerate(bucket) if math.isfinite(point.value)]
    indexes = {0, len(bucket) - 1}
    if finite:
        indexes.add(min(finite, key=lambda index: bucket[index].value))
        indexes.add(max(finite, key=lambda index: bucket[index].value))
    if len(finite) < len(bucket):
        indexes.add(next(index for index, point in enumerate(bucket) if not math.isfinite(point.value)))
    return [bucket[index] for index in sorted(indexes)]
