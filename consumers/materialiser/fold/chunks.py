"""
Put points of one record behind the points of their series.

Pure, and independent of how records are grouped into transactions: the rows depend on the log alone, so a rebuild from
offset 0 gives the same rows. Each record adds one small row. The record with which the last rows that have less than
16 points have 16 together makes one row of them; the one that fills 1,000 open points turns all of them into a full
chunk, and leaves what is over as a row of its own. Which rows there are so follows from how many points each stored
one has, and a batch with many records of a series writes few rows of it: `settle` makes them at its end.
The first chunk of a series is shorter, by an amount that follows from its id: processes that start together would else
fill all their chunks at the same moment, and everything that comes then would wait for the rewriting.
Of a series whose points were dropped (`gateway retention`) only the summary goes on, to the same row as if they were
there.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from consumers.store.rows import CHUNK_POINTS, FIRST_SPREAD, SMALL_POINTS, Changes, ChunkRow, SeriesRow
from schemas.columns import FloatArray, IntArray
from schemas.events import Series

Columns = tuple[IntArray, IntArray, FloatArray]  # steps, times (µs), values of the same points


class _Summary(NamedTuple):
    """What a chart, a list and a search need to know of columns."""

    min_step: int
    max_step: int
    min_time: int  # µs
    max_time: int
    min_value: float | None  # of finite values
    max_value: float | None
    non_finite: int


def append_points(row: SeriesRow, new: Series, changes: Changes) -> None:
    """Add the points of one record to a series, and say in `changes` which of its open points need rows."""
    summary = _summary(new.steps, new.times, new.values)
    _add_to_series(row, new, summary)
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
        _withdraw(changes, row, row.loose)
        while row.tail and row.tail[-1] >= row.loose:
            row.tail.pop()
        first_index, row.loose = row.loose, end
    row.tail.append(first_index)


def settle(changes: Changes) -> None:
    """Make the rows of open points that this batch writes, once its last record is folded."""
    for series_id, first in changes.unwritten.items():
        row = changes.series[series_id]
        start = row.open_index
        for index, end in pairwise([*row.tail[bisect_left(row.tail, first) :], start + len(row.values)]):
            part = slice(index - start, end - start)
            _put(changes, row, index, (row.steps[part], row.times[part], row.values[part]))
    changes.unwritten.clear()


def _chunk_size(row: SeriesRow) -> int:
    """Return how many points the chunk gets that is being filled."""
    return CHUNK_POINTS if row.open_index else CHUNK_POINTS - row.series_id.int % FIRST_SPREAD


def _fill_chunks(row: SeriesRow, changes: Changes) -> None:
    _withdraw(changes, row, row.open_index)
    while len(row.values) >= (cut := _chunk_size(row)):
        _put(changes, row, row.open_index, (row.steps[:cut], row.times[:cut], row.values[:cut]))
        del row.steps[:cut], row.times[:cut], row.values[:cut]
        row.open_index += cut
    left = len(row.values)
    row.tail = [row.open_index] if left else []
    row.loose = row.open_index + (left if left >= SMALL_POINTS else 0)
    changes.unwritten[row.series_id] = row.open_index


def _withdraw(changes: Changes, row: SeriesRow, first: int) -> None:
    """Make new rows of the open points from `first` on; those that are stored are to be deleted."""
    if first < changes.unwritten[row.series_id]:
        changes.reopened[row.series_id] = changes.unwritten[row.series_id] = first


def _put(changes: Changes, row: SeriesRow, index: int, columns: Columns) -> None:
    steps, times, values = columns
    known = _summary(steps, times, values)
    changes.chunks[row.series_id, index] = ChunkRow(
        series_id=row.series_id,
        first_index=index,
        month=row.month,
        points=len(values),
        first_value=values[0],
        last_value=values[-1],
        steps=steps,
        times=times,
        point_values=values,
        **known._asdict(),
    )


def _summary(steps: IntArray, times: IntArray, values: FloatArray) -> _Summary:
    if len(values) == 1:
        (step,), (time,), (value,) = steps, times, values
        if math.isfinite(value):
            bound = value + 0.0  # -0.0 and 0.0 are equal: which came first must not show
            return _Summary(step, step, time, time, bound, bound, 0)
        return _Summary(step, step, time, time, None, None, 1)
    finite: Sequence[float] = values.tolist()  # a list: an array makes a new number for each look at it
    if not math.isfinite(sum(finite)):  # true of no column that holds NaN or an infinity
        finite = [value for value in finite if math.isfinite(value)]
    in_order, at = sorted(steps), sorted(times)  # nearly always sorted already, and then faster than min() and max()
    return _Summary(
        min_step=in_order[0],
        max_step=in_order[-1],
        min_time=at[0],
        max_time=at[-1],
        min_value=min(finite) + 0.0 if finite else None,
        max_value=max(finite) + 0.0 if finite else None,
        non_finite=len(values) - len(finite),
    )


def _add_to_series(row: SeriesRow, new: Series, summary: _Summary) -> None:
    row.non_finite += summary.non_finite
    row.integer = row.integer and new.integer
    low, high = summary.min_value, summary.max_value
    if low is not None and high is not None:
        row.min_value = low if row.min_value is None else min(row.min_value, low)
        row.max_value = high if row.max_value is None else max(row.max_value, high)
    # The last of the points with the highest (step, time): the last point, unless they came in another order.
    at = len(new.steps) - 1
    if (new.steps[at], new.times[at]) != (summary.max_step, summary.max_time):
        at = max(range(len(new.steps)), key=lambda index: (new.steps[index], new.times[index], index))
    if (new.steps[at], new.times[at]) >= (row.last_step, row.last_time):
        row.last_step, row.last_time, row.last_value = new.steps[at], new.times[at], new.values[at]
