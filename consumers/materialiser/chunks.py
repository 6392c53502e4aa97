"""
Put points of one record behind the points of their series.

Pure, and independent of how records are grouped into transactions: the rows depend on the log alone, so a rebuild from
offset 0 gives the same rows. Each record adds one small row; the record that fills 1,000 open points turns them into a
full chunk and leaves what is over as a small row of its own.
"""

from __future__ import annotations

import json
import math
from hashlib import blake2b
from uuid import UUID

from consumers.store.rows import Changes, ChunkRow, SeriesRow
from schemas.columns import FloatArray, IntArray
from schemas.events import Series

CHUNK_POINTS = 1_000  # 1,000 points a chunk measured 0.7 M points/s by COPY and 9-17 bytes a point


def series_id(run_id: str, step_name: str, attempt: int, name: str, labels: dict[str, str]) -> UUID:
    """Return the id of a series: a hash of what it is, so that it is the same after every rebuild."""
    what = json.dumps([run_id, step_name, attempt, name, sorted(labels.items())], ensure_ascii=True)
    return UUID(bytes=blake2b(what.encode(), digest_size=16).digest())


def append_points(row: SeriesRow, new: Series, changes: Changes) -> None:
    """Add the points of one record to a series, writing chunk rows into `changes`."""
    _summarise(row, new)
    first_index = row.open_index + len(row.values)
    row.points += len(new.values)
    row.steps.extend(new.steps)
    row.times.extend(new.times)
    row.values.extend(new.values)
    if len(row.values) < CHUNK_POINTS:
        _put(changes, row, first_index, new.steps, new.times, new.values)
        changes.small.setdefault(row.series_id, []).append(first_index)
        return
    _withdraw(changes, row)
    while len(row.values) >= CHUNK_POINTS:
        cut = CHUNK_POINTS
        _put(changes, row, row.open_index, row.steps[:cut], row.times[:cut], row.values[:cut])
        del row.steps[:cut], row.times[:cut], row.values[:cut]
        row.open_index += cut
    if row.values:
        _put(changes, row, row.open_index, row.steps, row.times, row.values)
        changes.small[row.series_id] = [row.open_index]


def _withdraw(changes: Changes, row: SeriesRow) -> None:
    """Drop the small rows of the open points, those of this batch and those already stored."""
    changes.reopened.setdefault(row.series_id, row.open_index)
    for index in changes.small.pop(row.series_id, ()):
        del changes.chunks[row.series_id, index]


def _put(changes: Changes, row: SeriesRow, index: int, steps: IntArray, times: IntArray, values: FloatArray) -> None:
    finite = [value for value in values if math.isfinite(value)]
    changes.chunks[row.series_id, index] = ChunkRow(
        series_id=row.series_id,
        first_index=index,
        points=len(values),
        min_step=min(steps),
        max_step=max(steps),
        min_time=min(times),
        max_time=max(times),
        first_value=values[0],
        last_value=values[-1],
        min_value=min(finite, default=None),
        max_value=max(finite, default=None),
        non_finite=len(values) - len(finite),
        steps=steps.tolist(),
        times=times.tolist(),
        point_values=values.tolist(),
    )


def _summarise(row: SeriesRow, new: Series) -> None:
    finite = [value for value in new.values if math.isfinite(value)]
    row.non_finite += len(new.values) - len(finite)
    row.integer = row.integer and new.integer
    if finite:
        low, high = min(finite), max(finite)
        row.min_value = low if row.min_value is None else min(row.min_value, low)
        row.max_value = high if row.max_value is None else max(row.max_value, high)
    for step, time, value in zip(new.steps, new.times, new.values, strict=True):
        if (step, time) >= (row.last_step, row.last_time):
            row.last_step, row.last_time, row.last_value = step, time, value
