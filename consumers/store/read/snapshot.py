"""
Queries within one snapshot of the store.

All queries to one `Snapshot` see the store at the same instant, so their answers are consistent, and `offsets` gives
the log offsets up to which they are complete.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from consumers.store.codec.chunks import columns_of, unpack
from consumers.store.comparison.reader import ComparisonReader
from consumers.store.content.reader import ContentReader
from consumers.store.export.reader import Exports
from consumers.store.pool import PooledConnection
from consumers.store.read import contents as stored
from consumers.store.read import documents
from consumers.store.read.artifacts import ArtifactChoice, ArtifactsFound, find_artifact, find_artifacts
from consumers.store.read.charts.reader import ChartsReader
from consumers.store.read.charts.series import Wanted, charts, series_data
from consumers.store.read.charts.summaries import Sample
from consumers.store.read.charts.superseded import supersede
from consumers.store.read.definitions import DefinitionsReader
from consumers.store.read.history import HistoryPosition, read_history
from consumers.store.read.points import PointsReader
from consumers.store.read.run_documents import RunDocuments
from consumers.store.read.series_pages import SeriesChoice, SeriesFound, find_series
from consumers.store.registry.read import RegistryReader
from consumers.store.search.filter_terms import Node, Order
from consumers.store.search.page_token import PagePosition, read_token, write_token
from consumers.store.search.sql_builder import Query, Search
from consumers.store.statements import sql
from consumers.store.tables.reader import TablesReader
from schemas.api import (
    ArtifactEntry,
    HistoryPage,
    LastStep,
    Position,
    RunProgress,
    RunSummary,
    SeriesData,
    SeriesPage,
)
from schemas.columns import float_to_json
from schemas.facts import Point, SeriesColumns
from schemas.names import series_name
from schemas.runlog import RunLog
from schemas.values import Typed

LAST_VALUES = 12  # number of series with their last value in a list of runs, unless another is asked for
SUMMARIES_AT_ONCE = 100
CHUNKS_AHEAD = 64  # chunks of a run's points in memory at once
MOST_BEST = 10_000  # best values in an unbounded run log
EVERY_SERIES = SeriesChoice()

_SERIES_KEY = ("step_name", "name", "labels")


class FoldedNumbers(NamedTuple):
    """Folded sequence numbers of one producer: all below `below` except the missing ones."""

    below: int
    missing: tuple[tuple[int, ...], ...]  # ranges (first, end), end exclusive


NOTHING_FOLDED = FoldedNumbers(0, ())


class RunsFound(NamedTuple):
    """One page of runs."""

    runs: list[RunSummary]
    next_page_token: str | None  # None: this is the last page


class RunPlaces(NamedTuple):
    """Which runs are on a page, in order."""

    places: list[PagePosition]
    is_last: bool
    filter: Node
    order: Order | None

    def token_after(self, count: int) -> str | None:
        """Return the token of the page after the first `count` runs; None if no run follows."""
        if self.is_last and count == len(self.places):
            return None
        return write_token(self.places[count - 1], self.filter, self.order)


class LogBounds(NamedTuple):
    """How much of a run a run log holds at most; None: all of it."""

    series: int | None = None
    points: int | None = None  # of all series together
    rows: int | None = None  # of each of its other parts


UNBOUNDED = LogBounds()
LOG_PARTS = {  # by name, with the statement that reads it
    "steps": "steps", "attempts": "attempts", "params": "params", "tags": "tags", "labels": "run_labels",
    "artifacts": "artifacts", "code": "code_identities", "producers": "producers", "observations": "observations",
}  # fmt: skip


class SeriesOfRun(NamedTuple):
    """A page of the series of a run."""

    found: SeriesFound
    as_of: Position
    points_dropped: int | None


class Snapshot:
    """Queries to the store at one instant. One at a time."""

    def __init__(self, connection: PooledConnection, lost_after_s: float) -> None:
        self._connection, self._lost_after_s = connection, lost_after_s
        self.registry, self.points_of = RegistryReader(connection), PointsReader(connection)
        self.documents, self.definitions = RunDocuments(connection, lost_after_s), DefinitionsReader(connection)
        self.tables = TablesReader(connection, self.documents, lost_after_s)
        self.exports = Exports(connection, self.documents, self.tables.cells)
        self.series_charts = ChartsReader(connection)
        self.comparison, self.content = ComparisonReader(connection), ContentReader(connection)

    async def runs(
        self, *, filter: Node, order: Order | None = None, limit: int = 200, page_token: str | None = None
    ) -> RunsFound:
        """Return one page of the runs that `filter` matches, newest first or in this order. Raises TokenError."""
        page = await self.find_runs(filter=filter, order=order, limit=limit, page_token=page_token)
        found = [one async for one in self.run_summaries(page)]
        return RunsFound(found, page.token_after(len(page.places)))

    async def find_runs(self, *, filter: Node, order: Order | None, limit: int, page_token: str | None) -> RunPlaces:
        """Return which runs are on a page, as `runs` does, without anything else about them. Raises TokenError."""
        after = None if page_token is None else read_token(page_token, filter, order)
        places = await self._find(Search(filter, order, lost_after_s=self._lost_after_s), limit + 1, after)
        return RunPlaces(places[:limit], len(places) <= limit, filter, order)

    async def run_summaries(self, page: RunPlaces, last_values: int = LAST_VALUES) -> AsyncGenerator[RunSummary]:
        """Yield the summary of each run of a page, with so many last values, a few runs at a time."""
        for first in range(0, len(page.places), SUMMARIES_AT_ONCE):
            ids = [place.run_id for place in page.places[first : first + SUMMARIES_AT_ONCE]]
            rows = await self._connection.fetch(sql("list_runs"), ids, self._lost_after_s)
            last = await self._connection.fetch(sql("last_values"), ids, last_values)
            best = await self.definitions.best(ids)
            values: dict[str, dict[str, float | str]] = {}
            for row in last:
                name = series_name(row["name"], row["labels"], row["step_name"])
                values.setdefault(row["run_id"], {})[name] = float_to_json(row["last_value"])
            for row in rows:
                yield documents.run_summary(row, values.get(row["run_id"], {}), best.get(row["run_id"], {}))

    async def summaries(self, run_ids: Sequence[str]) -> dict[str, RunSummary]:
        """Return the summaries of these runs without last values, by id; unknown runs are absent."""
        rows = await self._connection.fetch(sql("list_runs"), list(run_ids), self._lost_after_s)
        return {row["run_id"]: documents.run_summary(row, {}) for row in rows}

    async def ids_matching(self, filter: Node) -> list[str]:
        """Return the ids of all runs that `filter` matches, newest first."""
        positions = await self._find(Search(filter, None, lost_after_s=self._lost_after_s), 2**31 - 1, None)
        return [position.run_id for position in positions]

    async def _find(self, search: Search, limit: int, after: PagePosition | None) -> list[PagePosition]:
        """Return positions after `after`. Runs without a value of the order's key come last."""
        await self._connection.execute(sql("plan_search"))
        found: list[PagePosition] = []
        if after is None or after.has_key:
            found, after = await self._positions(search.runs(limit=limit, after=after), has_key=True), None
        if len(found) < limit and search.may_lack_key:
            rest = search.runs_without_key(limit=limit - len(found), after=after)
            found += await self._positions(rest, has_key=False)
        return found

    async def _positions(self, query: Query, *, has_key: bool) -> list[PagePosition]:
        rows = await self._connection.fetch(query.statement, *query.parameters)
        return [PagePosition(has_key, row["sort_value"], row["run_id"]) for row in rows]

    async def run_ids(self, *, group: str | None = None) -> list[str]:
        """Return the ids of all runs, or of one group, oldest first."""
        return [row["run_id"] for row in await self._connection.fetch(sql("list_run_ids"), group)]

    async def run_log(self, run_id: str, *, max_points: int = 10_000, bounds: LogBounds = UNBOUNDED) -> RunLog | None:
        """Return the run log, with at most the last `max_points` of each series; None for an unknown run."""
        connection = self._connection
        run = await connection.fetchrow(sql("get_run"), run_id, self._lost_after_s)
        if run is None:
            return None
        parts = {
            name: await _first_rows(connection, f"get_{query}", run_id, bounds.rows)
            for name, query in LOG_PARTS.items()
        }
        truncated = [name for name, rows in parts.items() if bounds.rows is not None and len(rows) > bounds.rows]
        found = await find_series(connection, run_id, EVERY_SERIES, bounds.series)
        if bounds.points is not None:
            max_points = min(max_points, max(1, bounds.points // max(1, len(found.series))))
        is_dropped = run["points_dropped"] is not None
        series = [
            _last_point(rows) if is_dropped else await _last_points(connection, rows, max_points)
            for rows in found.series
        ]
        rows = documents.RunRows(run=run, **{name: some[: bounds.rows] for name, some in parts.items()})
        log = await asyncio.to_thread(documents.run_log, rows, series)
        log.best = (await self.definitions.best([run_id], limit=bounds.series or MOST_BEST)).get(run_id, {})
        log.truncated = truncated if found.is_last else [*truncated, "series"]
        return log

    async def series_of(
        self, run_id: str, choice: SeriesChoice = EVERY_SERIES, *, limit: int | None = None
    ) -> SeriesOfRun | None:
        """Return a page of the series of a run, without points; None for an unknown run. Raises TokenError."""
        run = await self._connection.fetchrow(sql("get_run"), run_id, self._lost_after_s)
        if run is None:
            return None
        found = await find_series(self._connection, run_id, choice, limit)
        as_of = Position(partition=run["partition"], offset=run["next_offset"])
        return SeriesOfRun(found, as_of, run["points_dropped"])

    async def charts(self, page: SeriesOfRun, buckets: int) -> AsyncGenerator[SeriesData]:
        """Yield each series of a page with its chart."""
        wanted = [] if page.points_dropped else [Wanted(rows) for rows in page.found.series]
        async for rows, found in charts(self._connection, wanted, buckets):
            yield series_data(rows, found.chart)
        for some in page.found.series[len(wanted) :]:
            yield series_data(some)

    async def history(
        self, run_id: str, series: str, *, limit: int, page_token: str | None = None
    ) -> HistoryPage | None:
        """Return a page of the points of a written series, None for an unknown run. Raises TokenError."""
        after = HistoryPosition() if page_token is None else HistoryPosition.from_token(page_token)
        page = await self.series_of(run_id, SeriesChoice([series]))
        if page is None:
            return None
        found: tuple[list[Sample], HistoryPosition | None] = ([], None)
        if page.found.series and page.points_dropped is None:
            found = await read_history(self._connection, page.found.series[0], after, limit)
        points, following = found
        return HistoryPage.model_construct(  # values in the store were validated before they were written
            run_id=run_id,
            series=series,
            points=[(step, time, float_to_json(value)) for step, time, value in points],
            next_page_token=None if following is None else following.token,
            points_dropped=page.points_dropped,
        )

    async def series(self, run_id: str, *, names: list[str] | None = None, buckets: int = 1_000) -> SeriesPage | None:
        """Return the series of a run (all, or those with these written names), None for an unknown run."""
        page = await self.series_of(run_id, SeriesChoice(names))
        if page is None:
            return None
        found = [one async for one in self.charts(page, buckets)]
        return SeriesPage(
            run_id=run_id, as_of=page.as_of, series=found, total=len(found), points_dropped=page.points_dropped
        )

    async def points(self, run_id: str) -> AsyncIterator[Point]:
        """Yield all points of a run, superseded attempts included, chunk by chunk."""
        for row in await self._connection.fetch(sql("get_series"), run_id):
            written = _written(row)
            async for chunk in self._connection.cursor(sql("get_points"), row["series_id"], row["month"]):
                for step, time, value in _samples(chunk):
                    yield Point(written, step, time // 1_000, value)

    async def columns(self, run_id: str) -> AsyncIterator[SeriesColumns]:
        """Yield all points of a run, superseded attempts included, as columns of one chunk of one series."""
        names: dict[int, dict[Any, str]] = {}
        for row in await self._connection.fetch(sql("get_series"), run_id):
            names.setdefault(row["month"], {})[row["series_id"]] = _written(row)
        for month, written in names.items():
            rows = self._connection.cursor(sql("get_run_points"), list(written), month, prefetch=CHUNKS_AHEAD)
            async for chunk in rows:
                steps, times, values = unpack((chunk,))
                times_ms = array("q", [time // 1_000 for time in times])
                yield SeriesColumns(written[chunk["series_id"]], steps, times_ms, values, times)

    async def dropped_counts(self, run_id: str) -> dict[str, int] | None:
        """Return how many points each written series had when retention dropped them; None if they are kept."""
        run = await self._connection.fetchrow(sql("get_run"), run_id, self._lost_after_s)
        if run is None or run["points_dropped"] is None:
            return None
        grouped = await _grouped_series(self._connection, run_id)
        return {_written(rows[0]): sum(row["points"] for row in rows) for rows in grouped}

    async def params(self, run_id: str) -> dict[str, Typed]:
        """Return the value of each parameter of a run that counts, see schemas/params.py."""
        rows = await self._connection.fetch(sql("get_params"), run_id)
        counting = [row for row in rows if not row["superseded"]]
        return {row["name"]: documents.TYPED.validate_python(row["value"]) for row in counting}

    async def contents(self, run_id: str) -> stored.StoredContents:
        """Return what a run holds besides points, parameters and tags, as far as it fits in memory."""
        return await stored.load_contents(self._connection, run_id, self._lost_after_s)

    async def artifacts(self, run_id: str, choice: ArtifactChoice) -> ArtifactsFound | None:
        """Return a page of the artifacts of a run; None if there is no such run."""
        if await self._connection.fetchrow(sql("get_run"), run_id, self._lost_after_s) is None:
            return None
        return await find_artifacts(self._connection, run_id, choice)

    async def artifact(self, run_id: str, path: str) -> ArtifactEntry | None:
        """Return the artifact of a run at a path; None if there is no such run, or no such artifact."""
        if await self._connection.fetchrow(sql("get_run"), run_id, self._lost_after_s) is None:
            return None
        return await find_artifact(self._connection, run_id, path)

    def observations(self, run_id: str) -> AsyncIterator[stored.StoredObservation]:
        """Yield the observations of a run, in log order."""
        return stored.stream_observations(self._connection, run_id)

    def lines(self, run_id: str) -> AsyncIterator[stored.StoredLine]:
        """Yield the console lines of a run, in log order."""
        return stored.stream_lines(self._connection, run_id)

    async def gaps(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Return how many records of these runs were sent and never folded, for runs with such records."""
        return await stored.load_gaps(self._connection, run_ids)

    async def open_letters(self, run_ids: Sequence[str] | None) -> dict[str, int]:
        """Return the number of undecided dead letters by run; of all records if `run_ids` is None."""
        return await stored.load_open_letters(self._connection, run_ids)

    async def offsets(self, consumer: str, topic: str) -> dict[int, int]:
        """Return the next offset of each partition that this consumer reads."""
        rows = await self._connection.fetch(sql("load_offsets"), consumer, topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def progress(self, run_id: str, *, max_series: int) -> RunProgress | None:
        """Return how far a run is, for a process that continues it; None for an unknown run. Deleted runs are known."""
        run = await self._connection.fetchrow(sql("get_progress"), run_id)
        if run is None:
            return None
        rows = [] if run["deleted"] else await self._connection.fetch(sql("get_last_steps"), run_id, max_series + 1)
        steps = [LastStep(**dict(row)) for row in rows[:max_series]]
        return RunProgress(
            run_id=run_id, attempt=run["attempt"], is_deleted=run["deleted"],
            is_complete=len(rows) <= max_series, steps=steps,
        )  # fmt: skip

    async def received(self, producers: Collection[tuple[str, str]]) -> dict[tuple[str, str], FoldedNumbers]:
        """Return the folded sequence numbers of these producers, each given by its run and its name."""
        found = dict.fromkeys(producers, NOTHING_FOLDED)
        if found:
            runs, names = zip(*found, strict=True)
            for row in await self._connection.fetch(sql("get_received"), list(runs), list(names)):
                numbers = FoldedNumbers(row["next_seq"], tuple(map(tuple, row["missing"])))
                found[row["run_id"], row["producer"]] = numbers
        return found


async def _first_rows(connection: PooledConnection, statement: str, run_id: str, limit: int | None) -> list[Any]:
    """Return the rows of a statement; of more than `limit` only the first, and one more."""
    if limit is None:
        return list(await connection.fetch(sql(statement), run_id))
    cursor = await connection.cursor(sql(statement), run_id)
    return list(await cursor.fetch(limit + 1))


async def _grouped_series(connection: PooledConnection, run_id: str) -> list[list[Any]]:
    """Return the rows of each written series as a group, first attempt first."""
    rows = await connection.fetch(sql("get_series"), run_id)
    return [list(group) for _, group in groupby(rows, key=lambda row: tuple(str(row[name]) for name in _SERIES_KEY))]


def _last_point(rows: Sequence[Any]) -> documents.SeriesPoints:
    """Return the last point and the number of points of a written series whose points were dropped."""
    newest = rows[-1]
    return documents.SeriesPoints(
        step_name=newest["step_name"],
        name=series_name(newest["name"], newest["labels"]),
        integer=all(row["integer"] for row in rows),
        total=sum(row["points"] for row in rows),
        points=[Sample(newest["last_step"], newest["last_time"], newest["last_value"])],
    )


async def _last_points(connection: PooledConnection, rows: Sequence[Any], limit: int) -> documents.SeriesPoints:
    attempts = []
    for row in rows:
        points: list[Sample] = []
        async for chunk in connection.cursor(sql("get_last_points"), row["series_id"], row["month"]):
            points[:0] = _samples(chunk)
            if len(points) >= limit:
                break
        attempts.append(points[-limit:])
    total = sum(row["points"] for row in rows)
    points = supersede(attempts)
    complete = sum(map(len, attempts)) == total
    return documents.SeriesPoints(
        step_name=rows[0]["step_name"],
        name=series_name(rows[0]["name"], rows[0]["labels"]),
        integer=all(row["integer"] for row in rows),
        total=len(points) if complete else total,
        points=points[-limit:],
    )


def _samples(chunk: Any) -> Iterable[Sample]:
    return map(Sample._make, zip(*columns_of(chunk), strict=True))


def _written(row: Any) -> str:
    return series_name(row["name"], row["labels"], row["step_name"])
