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
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from consumers.materialiser.fold.corners import corners_of
from consumers.materialiser.fold.pieces import extremes_of, order_of, pieces_of
from consumers.store.codec.order import FEW, rises
from consumers.store.rows import (
    CHUNK_POINTS,
    FIRST_SPREAD,
    GROUP_CHUNKS,
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


class _Bounds(NamedTuple):
    """Bounds of values."""

    low: float | None  # of finite values; 0.0, not -0.0: these are equal, and which came first must not count
    high: float | None
    non_finite: int


class _InOrder(NamedTuple):
    """Steps as they were recorded, and steps and times (µs) each from the lowest to the highest."""

    given: list[int]
    steps: list[int]
    times: Sequence[int]  # the recorded ones themselves, if they are known to rise


def append_points(row: SeriesRow, new: Series, changes: Changes) -> None:
    """Append the points of one record to a series, and note in `changes` which of its open points need rows."""
    _add_to_series(row, new)
    first_index = row.open_index + len(row.values)
    row.points += len(new.values)
    changes.new_points[row.month] = changes.new_points.get(row.month, 0) + len(new.values)
    if row.is_dropped:
        while row.points - row.open_index >= (size := _chunk_size(row)):
            row.open_index += size
        return
    row.steps.extend(new.steps)
    row.times.extend(new.times)
    row.values.extend(new.values)
    changes.unwritten.setdefault(row.series_id, first_index)
    if len(row.values) >= _chunk_size(row):
        _fill_chunks(row, changes)
        return
    end = first_index + len(new.values)
    if end - row.loose >= SMALL_POINTS:
        _reopen_from(changes, row, row.loose)
        while row.tail and row.tail[-1] >= row.loose:
            row.tail.pop()
        first_index, row.loose = row.loose, end
    row.tail.append(first_index)


def finalise_chunks(changes: Changes) -> None:
    """Make the rows of open points that this batch writes. Call it after the last record of the batch is folded."""
    for series_id, first in changes.unwritten.items():
        row = changes.series[series_id]
        start = row.open_index
        for index, end in pairwise([*row.tail[bisect_left(row.tail, first) :], start + len(row.values)]):
            part = slice(index - start, end - start)
            columns = row.steps[part], row.times[part], row.values[part]
            _put_chunk(changes, row, index, columns, _summary_of(columns))
    changes.unwritten.clear()


def _chunk_size(row: SeriesRow) -> int:
    """Return how many points the chunk that is being filled will hold."""
    return CHUNK_POINTS if row.open_index else CHUNK_POINTS - row.series_id.int % FIRST_SPREAD


def _fill_chunks(row: SeriesRow, changes: Changes) -> None:
    _reopen_from(changes, row, row.open_index)
    while len(row.values) >= (cut := _chunk_size(row)):
        columns = row.steps[:cut], row.times[:cut], row.values[:cut]
        _put_full_chunk(changes, row, columns)
        number = -(-row.open_index // CHUNK_POINTS)  # of this chunk, whatever the first one lacks
        if (number + 1) % GROUP_CHUNKS == 0:
            changes.full_groups.append(FullGroup(row.series_id, number // GROUP_CHUNKS, row.month))
        del row.steps[:cut], row.times[:cut], row.values[:cut]
        row.open_index += cut
    left = len(row.values)
    row.tail = [row.open_index] if left else []
    row.loose = row.open_index + (left if left >= SMALL_POINTS else 0)
    changes.unwritten[row.series_id] = row.open_index


def _reopen_from(changes: Changes, row: SeriesRow, first: int) -> None:
    """Make new rows of the open points from index `first` on, and mark the stored rows of these for deletion."""
    if first < changes.unwritten[row.series_id]:
        changes.reopened[row.series_id] = changes.unwritten[row.series_id] = first


def _put_full_chunk(changes: Changes, row: SeriesRow, columns: Columns) -> None:
    steps, times, values = columns
    in_order = _in_order(steps, times)
    order = order_of(in_order.given, in_order.steps, times, times_rise=in_order.times is times)
    numbers = values.tolist()
    if math.isfinite(sum(numbers)):
        pieces = pieces_of(numbers, order, is_finite=True)
        low, high = extremes_of(numbers, pieces)  # sooner than to look at all values again
        bounds = _Bounds(low + 0.0, high + 0.0, 0)
    else:
        bounds = _bounds(values)
        pieces = pieces_of(numbers, order, is_finite=not bounds.non_finite)  # a sum may be larger than any float64
    chunk = _put_chunk(changes, row, row.open_index, columns, _summary(in_order, bounds))
    chunk.pieces = pieces
    _, by_step, _ = in_order
    chunk.corners, chunk.ends = corners_of(chunk, ends_repeat=by_step[0] == by_step[1] or by_step[-2] == by_step[-1])


def _put_chunk(changes: Changes, row: SeriesRow, index: int, columns: Columns, summary: _Summary) -> ChunkRow:
    steps, times, values = columns
    _widen(row, summary.min_value, summary.max_value)
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
        **summary._asdict(),
    )
    return chunk


def _summary_of(columns: Columns) -> _Summary:
    steps, times, values = columns
    if len(values) == 1:
        (step,), (time,), (value,) = steps, times, values
        if math.isfinite(value):
            bound = value + 0.0  # -0.0 and 0.0 are equal: the result must not depend on which came first
            return _Summary(step, step, time, time, bound, bound, 0)
        return _Summary(step, step, time, time, None, None, 1)
    return _summary(_in_order(steps, times), _bounds(values))


def _in_order(steps: IntArray, times: IntArray) -> _InOrder:
    given = steps.tolist()
    return _InOrder(
        given,
        sorted(given),  # nearly always sorted already, then faster than min() and max()
        times if FEW <= len(times) <= CHUNK_POINTS and rises(times) else sorted(times),
    )


def _bounds(values: FloatArray) -> _Bounds:
    finite: Sequence[float] = values.tolist()  # a list: an array creates a new number object at each access
    if not math.isfinite(sum(finite)):  # the sum of a column with NaN or an infinity is never finite
        finite = [value for value in finite if math.isfinite(value)]
    if not finite:
        return _Bounds(None, None, len(values))
    return _Bounds(min(finite) + 0.0, max(finite) + 0.0, len(values) - len(finite))


def _summary(in_order: _InOrder, bounds: _Bounds) -> _Summary:
    _, steps, times = in_order
    return _Summary(steps[0], steps[-1], times[0], times[-1], *bounds)


def _add_to_series(row: SeriesRow, new: Series) -> None:
    if row.is_dropped:
        bounds = _bounds(new.values)
        _widen(row, bounds.low, bounds.high)
        row.non_finite += bounds.non_finite
    elif not math.isfinite(
        sum(new.values)
    ):  # lowest and highest are found with the row that these points become part of
        row.non_finite += sum(not math.isfinite(value) for value in new.values)
    row.integer = row.integer and new.integer
    at = len(new.steps) - 1  # of the newest point, unless points came out of order
    newest = new.steps[at], new.times[at]
    if at and not _is_newest(new.steps, new.times):
        at = max(
            range(len(new.steps)), key=lambda index: (new.steps[index], new.times[index], _rank(new.values[index]))
        )
        newest = new.steps[at], new.times[at]
    known = row.last_step, row.last_time
    if newest > known or not row.points or (newest == known and _rank(new.values[at]) > _rank(row.last_value)):
        (row.last_step, row.last_time), row.last_value = newest, new.values[at]


def _is_newest(steps: IntArray, times: IntArray) -> bool:
    """Return whether the last of several points alone has the highest step, or of these the highest time."""
    by_step = sorted(steps.tolist())
    if by_step[-1] != steps[-1] or by_step[-2] != by_step[-1]:
        return by_step[-1] == steps[-1]
    by_time = sorted(times)
    return by_time[-1] == times[-1] and by_time[-2] != by_time[-1]


def _widen(row: SeriesRow, low: float | None, high: float | None) -> None:
    """Note the lowest and the highest of some points of a series, None if no value is finite."""
    if low is not None and high is not None:
        row.min_value = low if row.min_value is None else min(row.min_value, low)
        row.max_value = high if row.max_value is None else max(row.max_value, high)


def _rank(value: float) -> float:
    """
    Return the place of a value among points of equal step and time, of which the highest is the newest.

    NaN counts as 0, and the first of equals stays, as in MLflow (store/tracking/sqlalchemy_store.py,
    `_update_latest_metrics_if_necessary`).
    """
    return 0.0 if math.isnan(value) else value
