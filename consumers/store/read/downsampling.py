"""
Reduce the points of a chart without losing a spike.

Pure. Each bucket keeps its first, lowest, highest and last point (M4: the points that a line needs in one pixel
column), so a chart of n buckets shows every extreme exactly; nothing is sampled at random. If a restart repeats steps,
the points of the later attempt replace the earlier ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
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
    """Return the points of all attempts (first attempt first), sorted, without steps that a later attempt repeated."""
    kept: list[Sample] = []
    for points in attempts:
        if points:
            restart = min(point.step for point in points)
            kept = [point for point in kept if point.step < restart]
            kept.extend(points)
    return sorted(kept, key=_IN_ORDER)


def group_points(points: int, buckets: int) -> int:
    """
    Return the points per group of a long series' chart: whole chunks, at most `buckets` groups.

    There is one more group if the first chunk is shorter than the others and the last group is full.
    """
    chunks = -(-points // CHUNK_POINTS)
    return -(-chunks // buckets) * CHUNK_POINTS


def corners_of(groups: Iterable[Any]) -> list[Sample]:
    """
    Return the samples of rows of `get_chart_groups`: first, lowest, highest and last of each.

    Values are exact: those of the points. An extreme is placed in the middle of its chunk, within 500 points of its
    position: a twentieth of a pixel if 1,000 pixels show 10 million points.
    """
    found = []
    for group in groups:
        first, last, extremes = group["first_value"], group["last_value"], (group["lowest"], group["highest"])
        if first is not None:
            found.append(Sample(group["min_step"], group["min_time"], first))
        for value, step, time in filter(None, extremes):
            found.append(Sample(int(step), int(time), value))
        if last is not None:
            found.append(Sample(group["max_step"], group["max_time"], last))
    return found


def shrink(points: Sequence[Sample], buckets: int) -> list[Sample]:
    """Return at most 5 x `buckets` of these sorted points: those that `_corners` selects of each bucket."""
    if len(points) <= 4 * buckets:
        return list(points)
    values = [point.value for point in points]
    return [points[at] for at in _indexes(values, buckets)]


def shrink_columns(
    steps: Sequence[int], times: Sequence[int], values: Sequence[float], buckets: int
) -> list[Sample] | None:
    """
    Return the result of `shrink` for points in columns; None if steps do not rise from each point to the next.

    Columns of 100,000 points take a tenth of the time of as many samples.
    """
    if not _rise(steps):
        return None
    if len(steps) <= 4 * buckets:
        return list(map(Sample, steps, times, values))
    indexes = _indexes(values, buckets)
    return list(map(Sample, *(map(column.__getitem__, indexes) for column in (steps, times, values))))


def _rise(steps: Sequence[int]) -> bool:
    """Return whether each step is larger than the one before. In pieces, so that few steps are objects at a time."""
    for first in range(0, len(steps), CHUNK_POINTS):
        piece = list(steps[first : first + CHUNK_POINTS + 1])
        if not all(map(lt, piece, islice(piece, 1, None))):
            return False
    return True


def _indexes(values: Sequence[float], buckets: int) -> list[int]:
    """Return the indexes of the selected points of all buckets, in order."""
    size = len(values) / buckets
    bounds = [round(number * size) for number in range(buckets + 1)]
    kept: list[int] = []
    for first, end in pairwise(bounds):
        kept += [first + at for at in sorted(_corners(list(values[first:end])))]
    return kept


def _corners(bucket: Sequence[float]) -> set[int]:
    """Return the indexes of the first, lowest, highest and last value, and of the first that is not finite."""
    corners = {0, len(bucket) - 1}
    if math.isfinite(sum(bucket)):  # false for any bucket with NaN or an infinity
        return corners | {bucket.index(min(bucket)), bucket.index(max(bucket))}
    finite = [at for at, value in enumerate(bucket) if math.isfinite(value)]
    if finite:
        corners.add(min(finite, key=bucket.__getitem__))
        corners.add(max(finite, key=bucket.__getitem__))
    if len(finite) < len(bucket):
        corners.add(next(at for at, value in enumerate(bucket) if not math.isfinite(value)))
    return corners
