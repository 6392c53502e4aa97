"""Charts of long series against a naive computation on all points, and the rows that they are made of."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from consumers.log.record import Record
from consumers.materialiser.worker import Worker
from consumers.store.migrations import FOLDER, migrate
from consumers.store.pool import PooledConnection, open_database
from consumers.store.read.charts.chart import Chart, read_whole
from consumers.store.read.charts.series import SeriesChart, Wanted, charts
from consumers.store.read.charts.summaries import Sample, Window
from consumers.store.read.charts.superseded import supersede
from schemas import events as ev
from schemas.wire import Envelope, encode
from tests.support.log_author import Author

BEGAN = 1_700_000_000_000_000  # µs
RECORD = 1_000
NO_LIMIT = 2**63


def shapes() -> dict[str, list[list[Sample]]]:
    """Return series by name, each as the points of its attempts in the order of the log."""
    random = Random(3)

    def points(steps: Iterable[int], first_time: int = BEGAN) -> list[Sample]:
        found = [
            Sample(step, first_time + 10 * at + random.randrange(8), math.sin(at / 9e3) + random.random() / 8)
            for at, step in enumerate(steps)
        ]
        for value in (math.nan, math.inf, -math.inf, -40.0, 50.0):
            at = random.randrange(len(found))
            found[at] = found[at]._replace(value=value)
        return found

    def odd(found: list[Sample]) -> list[Sample]:
        """Replace some values of every chunk, and all of some chunks."""
        for at in range(len(found)):
            if at % 137 < 3 or 20_000 < at < 26_000:
                found[at] = found[at]._replace(value=(math.nan, math.inf, -math.inf)[at % 7 % 3])
        return found

    return {
        "rising": [points(range(258_700))],
        "falling": [points(range(131_000, 0, -1))],
        "interleaved": [points(at // 4 + at % 4 * 7 for at in range(130_500))],  # four processes wrote it
        "repeated": [points(at // 3 - 50 for at in range(3_000))],
        "few": [points(random.sample(range(500), 500))],
        "continued": [points(range(70_000)), points(range(64_321, 66_000)), points(range(65_900, 130_000))],
        "equal": [points(at // 3 for at in range(66_000))],
        "odd": [odd(points(range(65_000)))],
        "spread": [points(range(-(2**63), 2**63, 2**64 // 1_200))],
        "strange": [[Sample(at, BEGAN + at, (math.nan, -math.inf)[at % 2]) for at in range(2_500)]],
    }


def run_of(series: dict[str, list[list[Sample]]]) -> Iterator[Envelope]:
    author = Author("long")
    yield author.start()
    for name, attempts in series.items():
        for number, points in enumerate(attempts, 1):
            for first in range(0, len(points), RECORD):
                steps, times, values = zip(*points[first : first + RECORD], strict=True)
                part = ev.Series(name=name, steps=array("q", steps), times=array("q", times), values=array("d", values))
                yield author.envelope(ev.Metrics(time=author.now(), attempt=number, series=[part]))


async def store(database: str, envelopes: Iterable[Envelope]) -> None:
    db = await open_database(database)
    try:
        await migrate(db)
        worker = Worker(db, "topic")
        await worker.assign([0])
        records = [encode(envelope) for envelope in envelopes]
        await worker.apply(
            [
                Record("topic", 0, offset, one.key, one.value, tuple(one.headers), 0)
                for offset, one in enumerate(records)
            ]
        )
    finally:
        await db.close()


def kept(points: Sequence[Sample], window: Window) -> list[Sample]:
    return [
        point
        for point in points
        if window.min_step <= point.step <= window.max_step and window.min_time <= point.time <= window.max_time
    ]


def corners(points: Sequence[Sample]) -> set[Sample]:
    """Return the first, lowest, highest and last of points in order, straight from their definition."""
    finite = [point for point in points if math.isfinite(point.value)]
    found = {points[0], points[-1]}
    return found | {pick(finite, key=lambda point: point.value) for pick in (min, max) if finite}


def exactly(points: Iterable[Sample]) -> set[tuple[int, int, str]]:
    return {(step, time, value.hex()) for step, time, value in points}


def check(chart: Chart, expected: list[Sample], buckets: int, *, is_apart: bool) -> None:
    """Compare with all points of the range. `is_apart`: steps of chunks do not overlap, so buckets are pieces."""
    odd = [point for point in expected if not math.isfinite(point.value)]
    assert chart.in_range == len(expected)
    assert sum(one.points for one in chart.odd) == len(odd)
    assert {one[:2] for one in chart.odd} <= {point[:2] for point in odd}
    assert list(chart.samples) == sorted(chart.samples, key=lambda point: point[:2])
    if chart.is_exact:
        assert sorted(exactly(chart.samples)) == sorted(exactly(expected))
        assert len(chart.samples) == len(expected)
        return
    assert len(chart.sizes) <= buckets
    assert sum(chart.sizes) == len(expected)
    assert exactly(chart.samples) <= exactly(expected)
    assert {point.value.hex() for point in corners(expected)} <= {point.value.hex() for point in chart.samples}
    if is_apart:
        first, wanted = 0, set[Sample]()
        for size in chart.sizes:
            wanted |= corners(expected[first : first + size])
            first += size
        assert exactly(chart.samples) == exactly(wanted)


class Charts:
    """A store with the shapes, and one connection to it."""

    def __init__(self, runner: asyncio.Runner, database: str) -> None:
        self._runner, self._database = runner, database

    def __enter__(self) -> Charts:
        self._db = self._runner.run(open_database(self._database))
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._db.close())

    def draw(self, names: Sequence[str], window: Window, buckets: int) -> list[SeriesChart]:
        async def drawn() -> list[SeriesChart]:
            async with self._db.acquire() as connection:
                wanted = [Wanted(await rows_of(connection, name), window) for name in names]
                return [found async for _, found in charts(connection, wanted, buckets, superseded=True)]

        return self._runner.run(drawn())

    def statements(self, names: Sequence[str], buckets: int) -> int:
        """Return how many statements the charts of these series take together."""
        asked = list[str]()

        async def counted() -> int:
            async with self._db.acquire() as connection:
                wanted = [Wanted(await rows_of(connection, name)) for name in names]
                with connection.query_logger(lambda statement: asked.append(statement.query)):
                    assert [one async for one in charts(connection, wanted, buckets)]
            return len(asked)

        return self._runner.run(counted())


async def rows_of(connection: PooledConnection, name: str) -> list[Any]:
    return list(await connection.fetch("SELECT * FROM series WHERE name = $1 ORDER BY attempt", name))


@pytest.mark.usefixtures("postgres_server")
def test_charts_are_exact_whatever_the_order_the_range_and_the_number_of_buckets(database: str) -> None:
    series = shapes()
    with asyncio.Runner() as runner:
        runner.run(store(database, run_of(series)))
        superseding = {name: supersede(attempts) for name, attempts in series.items()}
        with Charts(runner, database) as store_of_shapes:

            @settings(max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
            @given(st.data())
            def holds(data: st.DataObject) -> None:
                name = data.draw(st.sampled_from(sorted(series)))
                every = superseding[name]
                places = data.draw(st.tuples(*[st.integers(0, len(every) - 1)] * 2))
                bounds = [every[at] for at in sorted(places)]
                low, high = bounds[0].step, bounds[1].step
                times = sorted(point.time for point in bounds)
                window = data.draw(
                    st.sampled_from([Window(), Window(low, high), Window(min_time=times[0], max_time=times[1])])
                )
                buckets = data.draw(st.sampled_from([1, 2, 3, 7, 60, 1_000, 10_000]))
                (found,) = store_of_shapes.draw([name], window, buckets)
                is_apart = name != "interleaved" or found.chart.in_range <= read_whole(buckets)
                check(found.chart, kept(every, window), buckets, is_apart=is_apart)

            holds()
            every_shape(store_of_shapes, superseding, least_buckets=990)
            assert store_of_shapes.statements(["few", "repeated", "strange", "spread"], 1_000) == 1
            assert store_of_shapes.statements(["falling", "interleaved", "equal", "odd"], 1_000) == 2
            before = store_of_shapes.draw(["rising"], Window(), 100)
            found = store_of_shapes.draw(["few", "continued", "strange"], Window(), 50)
            replaced = [(one.attempt, one.from_step, one.chart.in_range) for one in found[1].superseded]
            assert replaced == [(1, 64_321, 70_000 - 64_321), (2, 65_900, 100)]
            assert [one.chart.in_range for one in found] == [500, 130_000, 2_500]
            runner.run(same_rows_after_the_migration(database))
            runner.run(written_by_an_earlier_release(database))
            (after,) = store_of_shapes.draw(["rising"], Window(), 100)
            check(after.chart, superseding["rising"], 100, is_apart=True)
            assert after.chart.odd == before[0].chart.odd
            runner.run(without_pieces(database))
            every_shape(store_of_shapes, superseding, least_buckets=550)


def every_shape(charts_of: Charts, series: dict[str, list[Sample]], *, least_buckets: int) -> None:
    """Check the chart of 1,000 buckets of each series that is long enough to have them."""
    names = [name for name, points in series.items() if len(points) > read_whole(1_000)]
    for name, found in zip(names, charts_of.draw(names, Window(), 1_000), strict=True):
        check(found.chart, series[name], 1_000, is_apart=name != "interleaved")
        assert len(found.chart.sizes) >= (least_buckets if len(series[name]) < 250_000 else 250), name


async def same_rows_after_the_migration(database: str) -> None:
    """Undo the migration of an older database and apply it: it gives what the fold gave."""
    queries = (
        "SELECT series_id, first_index, corners, ends::text FROM chunks ORDER BY 1, 2",
        "SELECT g::text FROM chunk_groups g ORDER BY 1",
    )
    text = (FOLDER / "20261203_01_chunk_groups.sql").read_text()
    db = await open_database(database)
    try:
        async with db.acquire() as connection, connection.transaction():
            folded = [await connection.fetch(query) for query in queries]
            await connection.execute(
                "ALTER TABLE chunks DROP COLUMN corners, DROP COLUMN ends; DROP TABLE chunk_groups"
            )
            await connection.execute(text.partition("-- migrate: apply")[2].partition("-- migrate: rollback")[0])
            migrated = [await connection.fetch(query) for query in queries]
    finally:
        await db.close()
    assert len(folded[1]) == 4 + 1 + 2 + 2 + 1 + 1 + 1 + 1  # rows of 64,000 points, and one of level 1
    assert migrated == folded


async def written_by_an_earlier_release(database: str) -> None:
    """Make rows as if a worker that has not been upgraded had written a chunk after the migration."""
    db = await open_database(database)
    try:
        async with db.acquire() as connection:
            (row,) = await rows_of(connection, "rising")
            lacking = (
                "UPDATE chunks SET corners = NULL, ends = NULL "
                "WHERE series_id = $1 AND first_index > 9000 AND first_index <= 10000"
            )
            assert await connection.execute(lacking, row["series_id"]) == "UPDATE 1"
            await connection.execute("DELETE FROM chunk_groups WHERE series_id = $1 AND number = 0", row["series_id"])
    finally:
        await db.close()


async def without_pieces(database: str) -> None:
    """Make every other chunk as a release before the one with pieces wrote it."""
    db = await open_database(database)
    try:
        async with db.acquire() as connection:
            await connection.execute("UPDATE chunks SET pieces = NULL WHERE (first_index + 999) / 1000 % 2 = 0")
    finally:
        await db.close()


def test_one_spike_in_a_million_points_is_seen_from_afar_and_is_exact_from_near(database: str) -> None:
    values = [0.0] * 1_000_000
    values[654_321] = 1.0
    points = [Sample(at, BEGAN + at, value) for at, value in enumerate(values)]
    with asyncio.Runner() as runner:
        runner.run(store(database, run_of({"loss": [points]})))
        with Charts(runner, database) as charts_of_it:
            (far,) = charts_of_it.draw(["loss"], Window(), 300)
            (near,) = charts_of_it.draw(["loss"], Window(654_000, 655_000), 300)

    assert [point for point in far.chart.samples if point.value] == [points[654_321]]
    assert list(near.chart.samples) == points[654_000:655_001]
