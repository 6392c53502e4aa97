"""
Charts of many written series, from the rows of their attempts.

Short series are read together, some at a time, so that a thousand of them take a few statements, and so are medium
ones; a long one is read alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from itertools import groupby
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.read.charts.chart import (
    IN_LOOP_POINTS,
    NOTHING,
    RAW_POINTS,
    Attempt,
    Chart,
    in_thread,
    long_chart,
    read_whole,
    restarts,
    short_chart,
)
from consumers.store.read.charts.medium import is_medium, medium_charts
from consumers.store.read.charts.summaries import ALL, KINDS, Sample, Window
from consumers.store.read.charts.superseded import restarts_of
from consumers.store.statements import sql
from schemas.api import SeriesData
from schemas.columns import float_to_json
from schemas.names import series_name

TOGETHER = 500  # series that are read together
EVERY_POINT = -(2**62), 2**62  # bounds of numbers of points
MOST_POINTS = {"short": RAW_POINTS, "medium": 10 * RAW_POINTS}  # of series that are read together


class Wanted(NamedTuple):
    """A written series: the rows of its attempts, first attempt first, and which of its points are wanted."""

    rows: Sequence[Any]
    window: Window = ALL

    @property
    def points(self) -> int:
        """The number of points of all attempts."""
        return sum(row["points"] for row in self.rows)


class Superseded(NamedTuple):
    """Points of an attempt that later attempts repeated."""

    attempt: int
    from_step: int
    chart: Chart


class SeriesChart(NamedTuple):
    """The chart of a series, and of what later attempts replaced in it, if that is wanted."""

    chart: Chart
    superseded: Sequence[Superseded] = ()


async def charts(
    connection: PooledConnection, wanted: Iterable[Wanted], buckets: int, *, superseded: bool = False
) -> AsyncGenerator[tuple[Sequence[Any], SeriesChart]]:
    """Yield the rows and the chart of each series, in order. Raises RangeTooScattered."""
    for kind, some in _together(wanted, buckets):
        if kind == "short":
            drawn = await _shorts(connection, some, buckets, superseded)
        elif kind == "medium":
            drawn = await _mediums(connection, some, buckets)
        else:
            drawn = [await _long(connection, one, buckets, superseded) for one in some]
        for one, chart in zip(some, drawn, strict=True):
            yield one.rows, chart


def series_data(rows: Sequence[Any], chart: Chart = NOTHING) -> SeriesData:
    """Return one written series with its chart, and the first value of each bucket that is not finite."""
    newest, (low, high) = rows[-1], extremes(rows)
    points = chart.samples
    if not chart.is_exact:  # kinds of one value are its value; of several its value is not known
        odd = [Sample(one.step, one.time, float(KINDS[one.kinds // 2])) for one in chart.odd if one.kinds in (1, 2, 4)]
        known = {one[:2] for one in points if not isfinite(one.value)}
        points = sorted([*points, *(one for one in odd if one[:2] not in known)], key=itemgetter(0, 1))
    return SeriesData.model_construct(  # values in the store were validated before they were written
        series=series_name(newest["name"], newest["labels"], newest["step_name"]),
        name=newest["name"],
        step_name=newest["step_name"],
        labels=newest["labels"],
        count=sum(row["points"] for row in rows),
        non_finite=sum(row["non_finite"] for row in rows),
        last_step=newest["last_step"],
        last=float_to_json(newest["last_value"]),
        min=None if low is None else float_to_json(low),
        max=None if high is None else float_to_json(high),
        points=[(step, time, value if isfinite(value) else float_to_json(value)) for step, time, value in points],
    )


def extremes(rows: Sequence[Any]) -> tuple[float | None, float | None]:
    """Return the lowest and the highest finite value of all attempts of a series."""
    low = min((row["min_value"] for row in rows if row["min_value"] is not None), default=None)
    high = max((row["max_value"] for row in rows if row["max_value"] is not None), default=None)
    return low, high


def _together(wanted: Iterable[Wanted], buckets: int) -> Iterator[tuple[str, list[Wanted]]]:
    """Yield series that are read together, and how: short ones, medium ones, or a long one."""
    some, points, kind = list[Wanted](), 0, ""
    for one in wanted:
        now = _kind(one, buckets)
        is_full = points + one.points > MOST_POINTS.get(now, 0) or len(some) == TOGETHER
        if some and (now != kind or is_full):
            yield kind, some
            some, points = [], 0
        some.append(one)
        points, kind = points + one.points, now
    if some:
        yield kind, some


def _kind(wanted: Wanted, buckets: int) -> str:
    if wanted.points <= read_whole(buckets):
        return "short"
    return "medium" if wanted.window == ALL and len(wanted.rows) == 1 and is_medium(wanted.rows[0], buckets) else "long"


async def _shorts(
    connection: PooledConnection, wanted: Sequence[Wanted], buckets: int, superseded: bool
) -> list[SeriesChart]:
    found = await _read(connection, wanted)
    if sum(one.points for one in wanted) > IN_LOOP_POINTS:
        return await in_thread(_short, wanted, found, buckets, superseded)
    return _short(wanted, found, buckets, superseded)


async def _mediums(connection: PooledConnection, wanted: Sequence[Wanted], buckets: int) -> list[SeriesChart]:
    drawn = await medium_charts(connection, [one.rows[0] for one in wanted], buckets)
    return [
        await _long(connection, one, buckets, superseded=False) if chart is None else SeriesChart(chart)
        for one, chart in zip(wanted, drawn, strict=True)
    ]


async def _read(connection: PooledConnection, wanted: Sequence[Wanted]) -> dict[Any, list[Any]]:
    """Return the packed chunks of these series by the ids of their attempts."""
    # What is superseded depends on all points of the later attempts.
    asked = [
        (row["series_id"], row["month"], *EVERY_POINT, *(one.window if len(one.rows) == 1 else ALL))
        for one in wanted
        for row in one.rows
    ]
    rows = await connection.fetch(sql("get_chunks_of_many"), *map(list, zip(*asked, strict=True)))
    return {series_id: list(some) for series_id, some in groupby(rows, key=itemgetter("series_id"))}


def _short(wanted: Sequence[Wanted], chunks: dict[Any, list[Any]], buckets: int, superseded: bool) -> list[SeriesChart]:
    found = [[chunks.get(row["series_id"], []) for row in one.rows] for one in wanted]
    return [_short_one(one, some, buckets, superseded) for one, some in zip(wanted, found, strict=True)]


def _short_one(wanted: Wanted, chunks: Sequence[Sequence[Any]], buckets: int, superseded: bool) -> SeriesChart:
    lowest = [min((chunk["min_step"] for chunk in some), default=None) for some in chunks]
    limits = restarts_of(lowest)
    read = [
        (Attempt(row, wanted.window.before(limit)), some)
        for row, some, limit in zip(wanted.rows, chunks, limits, strict=True)
    ]
    replaced = list[Superseded]()
    for row, some, limit in zip(wanted.rows, chunks, limits, strict=True):
        if superseded and limit is not None:
            found = short_chart([(Attempt(row, wanted.window.since(limit)), some)], buckets)
            replaced += [Superseded(row["attempt"], limit, found)] if found.in_range else []
    return SeriesChart(short_chart(read, buckets), replaced)


async def _long(connection: PooledConnection, wanted: Wanted, buckets: int, superseded: bool) -> SeriesChart:
    limits = await restarts(connection, wanted.rows)
    pairs = list(zip(wanted.rows, limits, strict=True))
    found = await long_chart(connection, [Attempt(row, wanted.window.before(limit)) for row, limit in pairs], buckets)
    replaced = list[Superseded]()
    for row, limit in pairs:
        if superseded and limit is not None:
            one = await long_chart(connection, [Attempt(row, wanted.window.since(limit))], buckets)
            replaced += [Superseded(row["attempt"], limit, one)] if one.in_range else []
    return SeriesChart(found, replaced)
