"""
The points of one series name in one order, each once, however they were recorded.

Points are ordered by time and then by step, or the other way round; of equal ones the value decides, and NaN counts as
zero. Times are in ms: a point that was recorded twice with the same step, ms and value is one point. In the order
"exact step" they are in µs, which tells what was recorded last at a step.

A chunk's bounds in the table say what it can contain. The sweep reads chunks in the order of their lowest bound and
releases what lies below the lowest bound of the chunks that follow, so it holds only as many points as overlap, and
never reads a chunk that cannot contain what is wanted.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, Iterable, Sequence
from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from consumers.store.codec.chunks import unpack
from consumers.store.pool import PooledConnection
from consumers.store.statements import sql

CHUNKS_AHEAD = 32  # read at once
IN_LOOP_POINTS = 5_000  # to hand fewer to a thread takes longer than to sort them
MAX_STEP = 2**63 - 1

Order = Literal["time", "step", "exact step"]
Point = tuple[int, int, float, bool]  # time and step, or step and time; value, zero for NaN; whether it is NaN
FIRST: Point = (-(2**63), -(2**63), -math.inf, False)  # sorts before every point


class Steps(NamedTuple):
    """A range of steps, both ends included."""

    first: int = -MAX_STEP - 1
    last: int = MAX_STEP


class Chunk(NamedTuple):
    """What the sweep knows of a chunk before it is read."""

    low: tuple[int, int]  # no point of it sorts before
    high: tuple[int, int]  # no point of it sorts after
    series: Any  # its series' row of `series_named`
    first_index: int
    points: int
    steps: Steps | None  # those of its points that count; None: all
    is_distinct: bool  # no two points of it have the same step


async def chunks_of(
    connection: PooledConnection, rows: Iterable[Any], order: Order, *, after: Point = FIRST, steps: Steps | None = None
) -> list[Chunk]:
    """Return the chunks with points of these attempts of a series after a point, in the order of their lowest bound."""
    found = []
    wanted = steps or Steps()
    for row in rows:
        if row["restart"] is not None and row["restart"] <= wanted.first:
            continue  # a later attempt replaced all of them
        last = wanted.last if row["restart"] is None else min(wanted.last, row["restart"] - 1)
        since = after[0] * 1_000 if order == "time" and after is not FIRST else -MAX_STEP
        bounds = await connection.fetch(sql("chunk_bounds"), row["series_id"], row["month"], wanted.first, last, since)
        found += [_chunk(row, one, order, Steps(wanted.first, last)) for one in bounds]
    return sorted(found, key=itemgetter(0, 1, 3))


def _chunk(row: Any, bounds: Any, order: Order, steps: Steps) -> Chunk:
    unit = _unit(order)
    low, high = (bounds["min_step"], bounds["min_time"] // unit), (bounds["max_step"], bounds["max_time"] // unit)
    is_whole = steps.first <= low[0] and high[0] <= steps.last
    if order == "time":
        low, high = low[::-1], high[::-1]
    return Chunk(
        low, high, row, bounds["first_index"], bounds["points"], None if is_whole else steps, bounds["is_distinct"]
    )


def apart(chunks: Sequence[Chunk]) -> list[list[Chunk]]:
    """Return groups of consecutive chunks: no point of a group can lie between, or equal, points of another."""
    groups: list[list[Chunk]] = []
    high = (0, 0)
    for one in chunks:
        if groups and one.low <= high:
            groups[-1].append(one)
            high = max(high, one.high)
        else:
            groups.append([one])
            high = one.high
    return groups


async def sweep(
    connection: PooledConnection, chunks: Sequence[Chunk], order: Order, after: Point = FIRST
) -> AsyncGenerator[list[Point]]:
    """Yield the points of these chunks after a point, in order and each once, some at a time."""
    held: list[Point] = []
    for first in range(0, len(chunks), CHUNKS_AHEAD):
        some = chunks[first : first + CHUNKS_AHEAD]
        stored = await _read(connection, some)
        following = chunks[first + CHUNKS_AHEAD].low if first + CHUNKS_AHEAD < len(chunks) else None
        work = partial(_merge, held, some, stored, order, following)
        is_short = sum(one.points for one in some) <= IN_LOOP_POINTS
        # In a thread: 32,000 points take about 10 ms, and other requests are served meanwhile.
        ready, held = work() if is_short else await asyncio.to_thread(work)
        if ready and ready[0] <= after:
            ready = ready[bisect_right(ready, after) :]
        if ready:
            yield ready


async def _read(connection: PooledConnection, chunks: Sequence[Chunk]) -> dict[tuple[Any, int], Any]:
    by_series: dict[Any, list[Chunk]] = {}
    for one in chunks:
        by_series.setdefault(one.series["series_id"], []).append(one)
    stored = {}
    for series_id, some in by_series.items():
        numbers = [one.first_index for one in some]
        for row in await connection.fetch(sql("packed_chunks"), series_id, some[0].series["month"], numbers):
            stored[series_id, row["first_index"]] = row
    return stored


def _merge(
    held: list[Point], chunks: Sequence[Chunk], stored: Any, order: Order, following: tuple[int, int] | None
) -> tuple[list[Point], list[Point]]:
    """Return the points that are final, in order and each once, and those that later chunks may precede."""
    for one in chunks:
        held += _points(stored[one.series["series_id"], one.first_index], one.steps, order)
    held.sort()
    distinct = list(dict.fromkeys(held))
    cut = len(distinct) if following is None else bisect_left(distinct, following)
    return distinct[:cut], distinct[cut:]


def _points(row: Any, wanted: Steps | None, order: Order) -> Iterable[Point]:
    steps, times, values = unpack((row,))
    unit = _unit(order)
    moments = times if unit == 1 else [time // unit for time in times]
    is_nan: Iterable[bool] = repeat(False)
    plain: Sequence[float] = values
    if math.isnan(sum(values)):  # infinities of both signs, too: their sum is NaN
        is_nan = list(map(math.isnan, values))
        plain = [0.0 if math.isnan(value) else value for value in values]
    columns = (moments, steps) if order == "time" else (steps, moments)
    points = zip(*columns, plain, is_nan)  # noqa: B905 - one of them may have no end
    if wanted is None:
        return points
    at = 1 if order == "time" else 0
    return [point for point in points if wanted.first <= point[at] <= wanted.last]


def _unit(order: Order) -> int:
    """Return the unit of times in µs."""
    return 1 if order == "exact step" else 1_000
