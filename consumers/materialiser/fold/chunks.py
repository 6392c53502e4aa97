"""
Append the points of one record to their series.

Pure, and independent of how records are grouped into transactions: the rows depend only on the log, so a rebuild from
offset 0 gives the same rows. Each record adds one small row. Once the trailing rows of fewer than 16 points together
hold 16 points, they are merged into one. The record that completes 1,000 open points turns them all into a full chunk;
points left over become a row of their own. So the number of points in each stored row determines which rows exist.
A batch with many records of a series writes few rows of it, because `finalise_chunks` makes the rows at its end.

The first chunk of a series is shorter, by an amount derived from the series id. Otherwise processes that start together
would fill all their chunks at the same moment, and the records after that would wait while the chunks are rewritten.

For a series whose points were dropped (`gateway retention`) only the summary is updated, and it becomes the same row as
if the points were still there.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from consumers.materialiser.fold.corners import corners_of
from consumers.store.codec.order import FEW, rises
from consumers.store.rows import (
    CHUNK_POINTS,
    FIRST_SPREAD,
    GROUP_CHUNKS,
    ROW_POINTS,
    SMALL_POINTS,
    Changes,
    ChunkRow,
    FullGroup,
    SeriesRow,
)
from schemas.columns import FloatArray, IntArray
from schemas.events import Series

Columns = tuple[IntArray, IntArray, FloatArray]  # steps, times (µs), values of the same points


class _Summary(NamedTuple):
    """Summary of points for charts, lists and searches."""

    min_step: int
    max_step: int
    min_time: int  # µs
    max_time: int
    min_value: float | None  # of finite values
    max_value: float | None
    non_finite: int


class _Repeats(NamedTuple):
    """Whether several points may have the same place in order."""

    newest: bool  # the highest step and the highest time
    ends: bool  # the lowest step, or the highest


_NO_REPEATS = _Repeats(newest=False, ends=False)
_Bounds = tuple[int, int, int, int]  # lowest and highest step, lowest and highest time


def append_points(row: SeriesRow, new: Series, changes: Changes) -> None:
    """Append the points of one record to a series, and note in `changes` which of its open points need rows."""
    if row.waiting is not None:
        row.waiting.pass_on(changes)
    _add_to_series(row, new)
    first_index = row.end
    row.points += len(new.values)
    changes.new_points[row.month] = changes.new_points.get(row.month, 0) + len(new.values)
    if row.is_dropped:
        _skip_chunks(row)
        return
    row.steps.extend(new.steps)
    row.times.extend(new.times)
    row.values.extend(new.values)
    changes.unwritten.setdefault(row.series_id, first_index)
    if row.end - row.open_index >= chunk_size(row):
        _fill_chunks(row, changes)
        return
    end = row.end
    if end - row.loose >= SMALL_POINTS:
        _reopen_from(changes, row, row.loose)
        while row.tail and row.tail[-1] >= row.loose:
            row.tail.pop()
        first_index, row.loose = row.loose, end
    row.tail.append(first_index)


def append_columns(row: SeriesRow, steps: IntArray, times: IntArray, values: FloatArray, changes: Changes) -> None:
    """Append points to a series whose summary has them already; their rows end at multiples of ROW_POINTS."""
    first = row.end
    row.points += len(values)
    if row.is_dropped:
        _skip_chunks(row)
        return
    row.steps.extend(steps)
    row.times.extend(times)
    row.values.extend(values)
    changes.unwritten.setdefault(row.series_id, first)
    if row.end - row.open_index >= chunk_size(row):
        _fill_chunks(row, changes)
        first = row.open_index
        row.tail.clear()
    elif row.tail and first % ROW_POINTS:
        _reopen_from(changes, row, row.tail[-1])
    end = row.end
    if not row.tail and first < end:
        row.tail.append(first)
        first += 1
    row.tail += range(-(-first // ROW_POINTS) * ROW_POINTS, end, ROW_POINTS)
    row.loose = _find_loose(row)


def finalise_chunks(changes: Changes) -> None:
    """Make the rows of open points that this batch writes. Call it after the last record of the batch is folded."""
    for waiting in changes.waiting:
        waiting.pass_on(changes)
    changes.waiting.clear()
    for series_id, first in changes.unwritten.items():
        row = changes.series[series_id]
        start = row.held
        for index, end in pairwise([*row.tail[bisect_left(row.tail, first) :], row.end]):
            part = slice(index - start, end - start)
            _put_chunk(changes, row, index, (row.steps[part], row.times[part], row.values[part]))
    changes.unwritten.clear()


def _find_loose(row: SeriesRow) -> int:
    """Return the end of the last row of open points that has SMALL_POINTS points or more; `open_index` without one."""
    end = row.end
    for first in reversed(row.tail):
        if end - first >= SMALL_POINTS:
            return end
        end = first
    return row.open_index


def _skip_chunks(row: SeriesRow) -> None:
    """Count chunks as full of which retention dropped the points."""
    while row.points - row.open_index >= (size := chunk_size(row)):
        row.open_index += size
    row.held = row.open_index


def may_fill(row: SeriesRow, count: int) -> bool:
    """Return whether `count` more points fill a chunk of which points are in the store alone."""
    return row.held > row.open_index and row.end + count - row.open_index >= chunk_size(row)


def chunk_size(row: SeriesRow) -> int:
    """Return how many points the chunk that is being filled will hold."""
    return CHUNK_POINTS if row.open_index else CHUNK_POINTS - row.series_id.int % FIRST_SPREAD


def _fill_chunks(row: SeriesRow, changes: Changes) -> None:
    assert row.held == row.open_index, "open points are in the store alone"
    _reopen_from(changes, row, row.open_index)
    while len(row.values) >= (cut := chunk_size(row)):
        columns = row.steps[:cut], row.times[:cut], row.values[:cut]
        chunk, repeats = _put_chunk(changes, row, row.open_index, columns)
        chunk.corners, chunk.ends = corners_of(chunk, ends_repeat=repeats.ends)
        number = -(-row.open_index // CHUNK_POINTS)  # of this chunk, whatever the first one lacks
        if (number + 1) % GROUP_CHUNKS == 0:
            changes.full_groups.append(FullGroup(row.series_id, number // GROUP_CHUNKS, row.month))
        del row.steps[:cut], row.times[:cut], row.values[:cut]
        row.open_index = row.held = row.open_index + cut
    left = len(row.values)
    row.tail = [row.open_index] if left else []
    row.loose = row.open_index + (left if left >= SMALL_POINTS else 0)
    changes.unwritten[row.series_id] = row.open_index


def _reopen_from(changes: Changes, row: SeriesRow, first: int) -> None:
    """Make new rows of the open points from index `first` on, and mark the stored rows of these for deletion."""
    if first < changes.unwritten[row.series_id]:
        changes.reopened[row.series_id] = changes.unwritten[row.series_id] = first


def _put_chunk(changes: Changes, row: SeriesRow, index: int, columns: Columns) -> tuple[ChunkRow, _Repeats]:
    steps, times, values = columns
    summary, repeats = _summary(steps, times, values)
    chunk = changes.chunks[row.series_id, index] = ChunkRow(
        series_id=row.series_id,
        first_index=index,
        month=row.month,
        points=len(values),
        first_value=values[0],
        last_value=values[-1],
        steps=steps,
        times=times,
        point_values=values,
        min_step=summary.min_step,
        max_step=summary.max_step,
        min_time=summary.min_time,
        max_time=summary.max_time,
        min_value=summary.min_value,
        max_value=summary.max_value,
        non_finite=summary.non_finite,
    )
    return chunk, repeats


def _summary(steps: IntArray, times: IntArray, values: FloatArray) -> tuple[_Summary, _Repeats]:
    if len(values) == 1:
        (step,), (time,), (value,) = steps, times, values
        if math.isfinite(value):
            bound = value + 0.0  # -0.0 and 0.0 are equal: the result must not depend on which came first
            return _Summary(step, step, time, time, bound, bound, 0), _NO_REPEATS
        return _Summary(step, step, time, time, None, None, 1), _NO_REPEATS
    finite: Sequence[float] = values.tolist()  # a list: an array creates a new number object at each access
    if not math.isfinite(sum(finite)):  # the sum of a column with NaN or an infinity is never finite
        finite = [value for value in finite if math.isfinite(value)]
    if len(steps) <= ROW_POINTS:  # series that are recorded together have the same steps and times
        bounds, repeats = _known_bounds(steps.tobytes(), times.tobytes())
    else:
        bounds, repeats = _bounds(steps, times)
    low, high = (min(finite) + 0.0, max(finite) + 0.0) if finite else (None, None)
    return _Summary(*bounds, low, high, len(values) - len(finite)), repeats


def _bounds(steps: IntArray, times: IntArray) -> tuple[_Bounds, _Repeats]:
    in_order = sorted(steps)  # nearly always sorted already, then faster than min() and max()
    at = times if FEW <= len(times) <= CHUNK_POINTS and rises(times) else sorted(times)
    is_last_repeated = in_order[-2] == in_order[-1]
    repeats = _Repeats(is_last_repeated and at[-2] == at[-1], is_last_repeated or in_order[0] == in_order[1])
    return (in_order[0], in_order[-1], at[0], at[-1]), repeats


@lru_cache(maxsize=64)
def _known_bounds(steps: bytes, times: bytes) -> tuple[_Bounds, _Repeats]:
    return _bounds(array("q", steps), array("q", times))


class Order(NamedTuple):
    """What the steps and times of points tell of their order."""

    newest: int  # index of the newest of them; -1: the values decide which it is
    step: int  # of the newest
    time: int  # µs


def order_of(steps: IntArray, times: IntArray) -> Order:
    """Return the order of points of several series that were recorded together."""
    at = len(steps) - 1
    newest = steps[at], times[at]
    if at and (newest != (max(steps), max(times)) or (steps.count(newest[0]) > 1 and times.count(newest[1]) > 1)):
        return Order(-1, 0, 0)
    return Order(at, *newest)


def add_range(
    row: SeriesRow, order: Order, steps: IntArray, times: IntArray, values: FloatArray, *, is_finite: bool
) -> None:
    """Add points to the summary of their series; `is_finite` tells that none of the values is NaN or infinite."""
    finite: Sequence[float] = values
    if not is_finite:
        finite = [value for value in values if math.isfinite(value)]
        row.non_finite += len(values) - len(finite)
    if finite:
        _widen(row, min(finite) + 0.0, max(finite) + 0.0)
    at, step, time = order
    if at < 0:
        at, step, time = _newest(steps, times, values)
    _renew(row, (step, time), values[at])


def _newest(steps: IntArray, times: IntArray, values: FloatArray) -> Order:
    at = max(range(len(steps)), key=lambda index: (steps[index], times[index], _rank(values[index])))
    return Order(at, steps[at], times[at])


def _widen(row: SeriesRow, low: float | None, high: float | None) -> None:
    if low is not None and high is not None:
        row.min_value = low if row.min_value is None else min(row.min_value, low)
        row.max_value = high if row.max_value is None else max(row.max_value, high)


def _renew(row: SeriesRow, newest: tuple[int, int], value: float) -> None:
    """Make a point the last one of its series if it is newer than the last one."""
    known = row.last_step, row.last_time
    if newest > known or not row.points or (newest == known and _rank(value) > _rank(row.last_value)):
        (row.last_step, row.last_time), row.last_value = newest, value


def _add_to_series(row: SeriesRow, new: Series) -> None:
    summary, repeats = _summary(new.steps, new.times, new.values)
    row.non_finite += summary.non_finite
    row.integer = row.integer and new.integer
    _widen(row, summary.min_value, summary.max_value)
    at = len(new.steps) - 1  # of the newest point, unless points came out of order
    newest = new.steps[at], new.times[at]
    if repeats.newest or newest != (summary.max_step, summary.max_time):
        at, step, time = _newest(new.steps, new.times, new.values)
        newest = step, time
    _renew(row, newest, new.values[at])


def _rank(value: float) -> float:
    """
    Return the place of a value among points of equal step and time, of which the highest is the newest.

    NaN counts as 0, and the first of equals stays, as in MLflow (store/tracking/sqlalchemy_store.py,
    `_update_latest_metrics_if_necessary`).
    """
    return 0.0 if math.isnan(value) else value
