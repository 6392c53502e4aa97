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
from itertools import pairwise

from consumers.materialiser.fold.corners import corners_of
from consumers.materialiser.fold.pieces import extremes_of, order_of, pieces_of
from consumers.materialiser.fold.summary import (
    Bounds,
    Columns,
    Summary,
    add_columns,
    bounds_of,
    in_order_of,
    summarise,
    summary_of,
    widen,
)
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


def append_points(row: SeriesRow, new: Series, changes: Changes) -> None:
    """Append the points of one record to a series, and note in `changes` which of its open points need rows."""
    if row.waiting is not None:
        row.waiting.pass_on(changes)
    add_columns(row, new)
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
            columns = row.steps[part], row.times[part], row.values[part]
            _put_chunk(changes, row, index, columns, summary_of(columns))
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
        _put_full_chunk(changes, row, columns)
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


def _put_full_chunk(changes: Changes, row: SeriesRow, columns: Columns) -> None:
    steps, times, values = columns
    in_order = in_order_of(steps, times)
    order = order_of(in_order.given, in_order.steps, times, times_rise=in_order.times is times)
    numbers = values.tolist()
    if math.isfinite(sum(numbers)):
        pieces = pieces_of(numbers, order, is_finite=True)
        low, high = extremes_of(numbers, pieces)  # sooner than to look at all values again
        bounds = Bounds(low + 0.0, high + 0.0, 0)
    else:
        bounds = bounds_of(values)
        pieces = pieces_of(numbers, order, is_finite=not bounds.non_finite)  # a sum may be larger than any float64
    chunk = _put_chunk(changes, row, row.open_index, columns, summarise(in_order, bounds))
    chunk.pieces = pieces
    _, by_step, _ = in_order
    chunk.corners, chunk.ends = corners_of(chunk, ends_repeat=by_step[0] == by_step[1] or by_step[-2] == by_step[-1])


def _put_chunk(changes: Changes, row: SeriesRow, index: int, columns: Columns, summary: Summary) -> ChunkRow:
    steps, times, values = columns
    widen(row, summary.min_value, summary.max_value)
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
    return chunk
