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


class Repeats(NamedTuple):
    """Whether several points may have the same place in order."""

    newest: bool  # the highest step and the highest time
    ends: bool  # the lowest step, or the highest


class Newest(NamedTuple):
    """The newest of some points: with the highest step, then time, then value."""

    at: int  # its index; -1: the values decide which it is
    step: int
    time: int  # µs


_NO_REPEATS = Repeats(newest=False, ends=False)
_Ends = tuple[int, int, int, int]  # lowest and highest step, lowest and highest time


def summary_of(columns: Columns) -> tuple[Summary, Repeats]:
    """Return the summary of points, and which of them may have the same place in order."""
    steps, times, values = columns
    if len(values) == 1:
        (step,), (time,), (value,) = steps, times, values
        if math.isfinite(value):
            bound = value + 0.0  # -0.0 and 0.0 are equal: the result must not depend on which came first
            return Summary(step, step, time, time, bound, bound, 0), _NO_REPEATS
        return Summary(step, step, time, time, None, None, 1), _NO_REPEATS
    if len(steps) <= ROW_POINTS:
        ends, repeats = _known_ends(steps.tobytes(), times.tobytes())
        return Summary(*ends, *bounds_of(values)), repeats
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


def summarise(in_order: InOrder, bounds: Bounds) -> tuple[Summary, Repeats]:
    """Return the summary of at least two points."""
    ends, repeats = _ends(in_order)
    return Summary(*ends, *bounds), repeats


def _ends(in_order: InOrder) -> tuple[_Ends, Repeats]:
    _, steps, times = in_order
    is_last_repeated = steps[-2] == steps[-1]
    repeats = Repeats(is_last_repeated and times[-2] == times[-1], is_last_repeated or steps[0] == steps[1])
    return (steps[0], steps[-1], times[0], times[-1]), repeats


@lru_cache(maxsize=64)
def _known_ends(steps: bytes, times: bytes) -> tuple[_Ends, Repeats]:
    return _ends(in_order_of(array("q", steps), array("q", times)))


def newest_of(steps: IntArray, times: IntArray) -> Newest:
    """Return which of points of several series that were recorded together is the newest of each."""
    at = len(steps) - 1
    newest = steps[at], times[at]
    if at and (newest != (max(steps), max(times)) or (steps.count(newest[0]) > 1 and times.count(newest[1]) > 1)):
        return Newest(-1, 0, 0)
    return Newest(at, *newest)


def add_column(
    row: SeriesRow, newest: Newest, steps: IntArray, times: IntArray, values: FloatArray, *, is_finite: bool
) -> None:
    """Add points to what a series knows; `is_finite` tells that none of the values is NaN or infinite."""
    finite: Sequence[float] = values
    if not is_finite:
        finite = [value for value in values if math.isfinite(value)]
        row.non_finite += len(values) - len(finite)
    if finite:
        _widen(row, min(finite) + 0.0, max(finite) + 0.0)
    at, step, time = newest if newest.at >= 0 else _newest(steps, times, values)
    _renew(row, (step, time), values[at])


def add_columns(row: SeriesRow, new: Series) -> None:
    """Add the points of one record to what their series knows."""
    summary, repeats = summary_of((new.steps, new.times, new.values))
    row.non_finite += summary.non_finite
    row.integer = row.integer and new.integer
    _widen(row, summary.min_value, summary.max_value)
    at = len(new.steps) - 1  # of the newest point, unless points came out of order
    newest = new.steps[at], new.times[at]
    if repeats.newest or newest != (summary.max_step, summary.max_time):
        at, step, time = _newest(new.steps, new.times, new.values)
        newest = step, time
    _renew(row, newest, new.values[at])


def _newest(steps: IntArray, times: IntArray, values: FloatArray) -> Newest:
    at = max(range(len(steps)), key=lambda index: (steps[index], times[index], _rank(values[index])))
    return Newest(at, steps[at], times[at])


def _widen(row: SeriesRow, low: float | None, high: float | None) -> None:
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
