"""
Charts within one snapshot of the store.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

from consumers.store.pool import PooledConnection
from consumers.store.read.charts.chart import RAW_POINTS, in_thread
from consumers.store.read.charts.found import (
    Match,
    Meanings,
    RunCharted,
    SeriesPageFound,
    find_meanings,
    find_runs,
    find_series_of,
    names_matching,
)
from consumers.store.read.charts.groups import Statistics, StepBuckets
from consumers.store.read.charts.series import SeriesChart, Wanted, charts
from consumers.store.read.charts.summaries import Window
from consumers.store.statements import sql


class ChartsReader:
    """Queries for charts on the connection of one snapshot. One at a time."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    async def runs(self, run_ids: Sequence[str]) -> dict[str, RunCharted]:
        """Return what charts need of these runs, by id; unknown ones are absent."""
        return await find_runs(self._connection, run_ids)

    async def find(
        self, run_ids: Sequence[str], match: Match, *, limit: int, page_token: str | None = None
    ) -> SeriesPageFound:
        """Return up to `limit` series of these runs, after those of the token. Raises TokenError and BadRegex."""
        return await find_series_of(self._connection, run_ids, match, limit=limit, page_token=page_token)

    async def repeating(self, run_ids: Sequence[str]) -> list[str]:
        """Return those of these runs that have records which came more than once."""
        return [row["run_id"] for row in await self._connection.fetch(sql("repeating_runs"), list(run_ids))]

    async def names_matching(self, regex: str, names: Sequence[str]) -> set[str]:
        """Return which of these written names a regular expression matches. Raises BadRegex."""
        return await names_matching(self._connection, regex, names)

    async def meanings(self, run_ids: Sequence[str]) -> Meanings:
        """Return what code says of the metrics of these runs."""
        return await find_meanings(self._connection, run_ids)

    def charts(
        self, wanted: Iterable[tuple[Sequence[Any], Window]], buckets: int, *, superseded: bool = False
    ) -> AsyncGenerator[tuple[Sequence[Any], SeriesChart]]:
        """Yield the chart of each series, given by the rows of its attempts. Raises RangeTooScattered."""
        return charts(self._connection, [Wanted(*one) for one in wanted], buckets, superseded=superseded)

    async def grouped(
        self, groups: Sequence[Sequence[tuple[Sequence[Any], Window]]], buckets: int
    ) -> tuple[list[list[tuple[int, Statistics]]], bool]:
        """
        Return the statistics of one series over the runs of each group, and whether all points were read.

        Each run is given by the rows of the attempts of its series, and what of it is wanted. All groups have the same
        buckets. Raises RangeTooScattered.
        """
        runs = [Wanted(*run) for runs in groups for run in runs]
        rows = [row for run in runs for row in run.rows]
        ids = [[row[name] for row in rows] for name in ("series_id", "month")]
        bounds = await self._connection.fetchrow(sql("step_bounds"), *ids)
        if bounds is None or bounds["first"] is None:
            return [[] for _ in groups], True
        first = max(bounds["first"], min(run.window.min_step for run in runs))
        last = max(first, min(bounds["last"], max(run.window.max_step for run in runs)))
        found, is_exact = list[list[tuple[int, Statistics]]](), True
        for runs_of_group in groups:
            made = StepBuckets(first, last, buckets)
            is_exact = await self._collect([Wanted(*run) for run in runs_of_group], made, buckets) and is_exact
            found.append(await in_thread(made.statistics))
        return found, is_exact

    async def _collect(self, runs: Sequence[Wanted], made: StepBuckets, buckets: int) -> bool:
        is_exact = True
        for is_long in (False, True):
            some = [run for run in runs if (run.points > RAW_POINTS) == is_long]
            async with aclosing(charts(self._connection, some, buckets if is_long else RAW_POINTS)) as drawn:
                async for _, one in drawn:
                    is_exact = is_exact and one.chart.is_exact
                    await in_thread(made.add, one.chart.samples)
        return is_exact

    async def histograms(self, run_id: str, name: str, limit: int) -> tuple[list[Any], int]:
        """Return up to `limit` histograms of a written name by step, evenly chosen, and how many there are."""
        rows = await self._connection.fetch(sql("histograms_of_series"), run_id, name, limit)
        return rows, rows[0]["total"] if rows else 0
