"""
The points of a series of several runs: in pages by time, or samples of a range of steps.

A page token is the last point of its page: the last page costs as much as the first, and points that are recorded
meanwhile displace none. A sample of n points has the first point of each of n groups of equal size (the first groups
have one more if it does not divide evenly), and the very last point.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from contextlib import aclosing
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.read.ordered_points import FIRST, Chunk, Order, Point, Steps, apart, chunks_of, sweep
from consumers.store.search.page_token import TokenError
from consumers.store.statements import sql
from schemas.api import PointColumns, PointsPage
from schemas.columns import float_to_json


class PointsPosition(NamedTuple):
    """The last point of a page."""

    run_id: str = ""
    point: Point = FIRST

    @property
    def token(self) -> str:
        """The page token of the page that follows."""
        first, second, value, is_nan = self.point
        text = json.dumps([self.run_id, first, second, value.hex(), is_nan])
        return base64.urlsafe_b64encode(text.encode()).decode()

    @classmethod
    def from_token(cls, token: str) -> PointsPosition:
        """Return the position of a page token. Raises TokenError."""
        try:
            run_id, first, second, value, is_nan = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
            point = (int(first), int(second), float.fromhex(value), bool(is_nan))
            if "\x00" in run_id or max(map(abs, point[:2])) >= 2**53 * 1_000:
                raise ValueError(token)
            run_id.encode()  # raises for a lone surrogate
        except (ValueError, binascii.Error, TypeError, AttributeError, OverflowError, RecursionError):
            raise TokenError("it is not a token of this API, or only a part of one") from None
        return cls(run_id, point)


class PointsReader:
    """
    Reads points in a snapshot: of the series with one of these written names, of which a run should have one.

    Unknown runs, and runs that lack the series, have none.
    """

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    async def page(
        self,
        run_ids: Sequence[str],
        names: Sequence[str],
        *,
        limit: int,
        page_token: str | None,
        since_ms: int | None = None,
    ) -> PointsPage:
        """Return up to `limit` points from a time (ms) on by run, time, step and value. Raises TokenError."""
        start = FIRST if since_ms is None else (since_ms, *FIRST[1:])
        after = PointsPosition() if page_token is None else PointsPosition.from_token(page_token)
        found: list[PointColumns] = []
        last = after
        for run_id, rows in await self._series([one for one in run_ids if one >= after.run_id], names):
            begin = after.point if run_id == after.run_id else start
            chunks = await chunks_of(self._connection, rows, "time", after=begin)
            async with aclosing(sweep(self._connection, chunks, "time", begin)) as blocks:
                async for block in blocks:
                    points = block[:limit]
                    if points:
                        limit -= len(points)
                        found.append(_columns(run_id, points, "time"))
                        last = PointsPosition(run_id, points[-1])
                    if len(points) < len(block):  # this page is full, and a point follows
                        return _page(found, last.token)
        return _page(found, None)

    async def sample(self, run_ids: Sequence[str], names: Sequence[str], *, count: int, steps: Steps) -> PointsPage:
        """Return up to `count` points of each run by step, time and value, out of a range of steps."""
        found = []
        for run_id, rows in await self._series(run_ids, names):
            chunks = await chunks_of(self._connection, rows, "step", steps=steps)
            if points := await self._sample(apart(chunks), count):
                found.append(_columns(run_id, points, "step"))
        return _page(found, None)

    async def _sample(self, groups: Sequence[Sequence[Chunk]], count: int) -> list[Point]:
        sizes = [await self._size(group) for group in groups]
        wanted = sampled(sum(sizes), count)
        points: list[Point] = []
        begin = at = 0  # number of the first point of the group; how many of the wanted lie before it
        for group, size in zip(groups, sizes, strict=True):
            first = at
            while at < len(wanted) and wanted[at] < begin + size:
                at += 1
            if at > first:
                points += await self._pick(group, [one - begin for one in wanted[first:at]])
            begin += size
        return points

    async def _series(self, run_ids: Sequence[str], names: Sequence[str]) -> list[tuple[str, list[Any]]]:
        """Return the attempts of the series of each run, by run id."""
        rows = await self._connection.fetch(sql("series_named"), list(run_ids), list(names))
        return [(run_id, list(some)) for run_id, some in groupby(rows, key=itemgetter("run_id"))]

    async def _size(self, group: Sequence[Chunk]) -> int:
        """Return how many points a group has. Most groups need not be read for it: their bounds tell."""
        only = group[0]
        if len(group) == 1 and only.is_distinct and only.steps is None:
            return only.points
        return sum([len(block) async for block in sweep(self._connection, group, "step")])

    async def _pick(self, group: Sequence[Chunk], numbers: Sequence[int]) -> list[Point]:
        """Return the points of a group with these numbers, which rise."""
        found: list[Point] = []
        begin = 0
        async for block in sweep(self._connection, group, "step"):
            while len(found) < len(numbers) and numbers[len(found)] < begin + len(block):
                found.append(block[numbers[len(found)] - begin])
            begin += len(block)
        return found


def sampled(total: int, count: int) -> list[int]:
    """Return which of `total` points in order a sample of `count` has: the first of each group, and the last of all."""
    if total <= count:
        return list(range(total))
    size, larger = divmod(total, count)
    firsts = [number * size + min(number, larger) for number in range(count)]
    return [*firsts[:-1], total - 1]


def _page(found: list[PointColumns], token: str | None) -> PointsPage:
    return PointsPage.model_construct(runs=found, next_page_token=token)


def _columns(run_id: str, points: Sequence[Point], order: Order) -> PointColumns:
    first, second, values, is_nan = map(list, zip(*points, strict=True))
    times, steps = (first, second) if order == "time" else (second, first)
    if any(is_nan) or not math.isfinite(sum(values)):
        values = [float_to_json(math.nan if nan else one) for one, nan in zip(values, is_nan, strict=True)]
    return PointColumns.model_construct(run_id=run_id, steps=steps, times_ms=times, values=values)
