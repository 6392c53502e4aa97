"""
Summaries of points: bounds and order of the points of a row, and what a series knows of all its points.

Pure. Series that are recorded together have the same steps and times, so what these tell is found once for all.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from consumers.store.codec.order import FEW, rises
from consumers.store.rows import CHUNK_POINTS, ROW_POINTS, SeriesRow
from schemas.columns import FloatArray, IntArray
from schemas.events import Series

Columns = tuple[IntArray, IntArray, FloatArray]  # steps, times (µs), values of the same points


class Summary(NamedTuple):
    """Summary of points for charts, lists and searches."""

    min_step: int
    max_step: int
    min_time: int  # µs
    max_time: int
    min_value: float | None  # of finite values
    max_value: float | None
    non_finite: int


class Bounds(NamedTuple):
    """Bounds of values."""

    low: float | None  # of finite values; 0.0, not -0.0: these are equal, and which came first must not count
    high: float | None
    non_finite: int


class InOrder(NamedTuple):
    """Steps as they were recorded, and steps and times (µs) each from the lowest to the highest."""

    given: list[int]
    steps: list[int]
    times: Sequence[int]  # the recorded ones themselves, if they are known to rise


class Newest(NamedTuple):
    """The newest of some points: with the highest step, then time, then value."""

    at: int  # its index; -1: the values decide which it is
    step: int
    time: int  # µs


_Ends = tuple[int, int, int, int]  # lowest and highest step, lowest and highest time


def summary_of(columns: Columns) -> Summary:
    """Return the summary of points."""
    steps, times, values = columns
    if len(values) == 1:
        (step,), (time,), (value,) = steps, times, values
        if math.isfinite(value):
            bound = value + 0.0  # -0.0 and 0.0 are equal: the result must not depend on which came first
            return Summary(step, step, time, time, bound, bound, 0)
        return Summary(step, step, time, time, None, None, 1)
    if len(steps) <= ROW_POINTS:
        return Summary(*_known_ends(steps.tobytes(), times.tobytes()), *bounds_of(values))
    return summarise(in_order_of(steps, times), bounds_of(values))


def in_order_of(steps: IntArray, times: IntArray) -> InOrder:
    """Return steps and times in order."""
    given = steps.tolist()
    return InOrder(
        given,
        sorted(given),  # nearly always sorted already, then faster than min() and max()
        times if FEW <= len(times) <= CHUNK_POINTS and rises(times) else sorted(times),
    )


def bounds_of(values: FloatArray) -> Bounds:
    """Return the bounds of values."""
    finite: Sequence[float] = values.tolist()  # a list: an array creates a new number object at each access
    if not math.isfinite(sum(finite)):  # the sum of a column with NaN or an infinity is never finite
        finite = [value for value in finite if math.isfinite(value)]
    if not finite:
        return Bounds(None, None, len(values))
    return Bounds(min(finite) + 0.0, max(finite) + 0.0, len(values) - len(finite))


def summarise(in_order: InOrder, bounds: Bounds) -> Summary:
    """Return the summary of points."""
    return Summary(*_ends(in_order), *bounds)


def _ends(in_order: InOrder) -> _Ends:
    _, steps, times = in_order
    return steps[0], steps[-1], times[0], times[-1]


@lru_cache(maxsize=64)
def _known_ends(steps: bytes, times: bytes) -> _Ends:
    return _ends(in_order_of(array("q", steps), array("q", times)))


def newest_of(steps: IntArray, times: IntArray) -> Newest:
    """Return which of points of several series that were recorded together is the newest of each."""
    at = len(steps) - 1
    return Newest(at, steps[at], times[at]) if not at or _is_newest(steps, times) else Newest(-1, 0, 0)


def add_column(
    row: SeriesRow, newest: Newest, steps: IntArray, times: IntArray, values: FloatArray, *, is_finite: bool
) -> None:
    """Add points to what a series knows; `is_finite` tells that none of the values is NaN or infinite."""
    _count_values(row, values, is_finite=is_finite)
    at, step, time = newest if newest.at >= 0 else _newest(steps, times, values)
    _renew(row, (step, time), values[at])


def add_columns(row: SeriesRow, new: Series) -> None:
    """Add the points of one record to what their series knows."""
    _count_values(row, new.values, is_finite=math.isfinite(sum(new.values)))
    row.integer = row.integer and new.integer
    at = len(new.steps) - 1  # of the newest point, unless points came out of order
    newest = new.steps[at], new.times[at]
    if at and not _is_newest(new.steps, new.times):
        at, step, time = _newest(new.steps, new.times, new.values)
        newest = step, time
    _renew(row, newest, new.values[at])


def _count_values(row: SeriesRow, values: FloatArray, *, is_finite: bool) -> None:
    if row.is_dropped:
        bounds = bounds_of(values)
        widen(row, bounds.low, bounds.high)
        row.non_finite += bounds.non_finite
    elif not is_finite:  # lowest and highest are found with the row that these points become part of
        row.non_finite += sum(not math.isfinite(value) for value in values)


def _is_newest(steps: IntArray, times: IntArray) -> bool:
    """Return whether the last of several points alone has the highest step, or of these the highest time."""
    by_step = sorted(steps.tolist())
    if by_step[-1] != steps[-1] or by_step[-2] != by_step[-1]:
        return by_step[-1] == steps[-1]
    by_time = sorted(times)
    return by_time[-1] == times[-1] and by_time[-2] != by_time[-1]


def _newest(steps: IntArray, times: IntArray, values: FloatArray) -> Newest:
    at = max(range(len(steps)), key=lambda index: (steps[index], times[index], _rank(values[index])))
    return Newest(at, steps[at], times[at])


def widen(row: SeriesRow, low: float | None, high: float | None) -> None:
    """Note the lowest and the highest of some points of a series, None if no value is finite."""
    if low is not None and high is not None:
        row.min_value = low if row.min_value is None else min(row.min_value, low)
        row.max_value = high if row.max_value is None else max(row.max_value, high)


def _renew(row: SeriesRow, newest: tuple[int, int], value: float) -> None:
    """Make a point the last one of its series if it is newer than the last one."""
    known = row.last_step, row.last_time
    if newest > known or not row.points or (newest == known and _rank(value) > _rank(row.last_value)):
        (row.last_step, row.last_time), row.last_value = newest, value


def _rank(value: float) -> float:
    """
    Return the place of a value among points of equal step and time, of which the highest is the newest.

    NaN counts as 0, and the first of equals stays, as in MLflow (store/tracking/sqlalchemy_store.py,
    `_update_latest_metrics_if_necessary`).
    """
    return 0.0 if math.isnan(value) else value
