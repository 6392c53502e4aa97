"""A chart of a series too long to read whole shows every extreme, from the summaries of its chunks."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator

from consumers.log import Record
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.pool import address, open_pool
from consumers.store.reading import Reading
from schemas import events as ev
from schemas.wire import Batch, encode
from tests.log_writing import Author

POINTS, RECORD = 230_500, 1_000  # the last 500 are not in a full chunk
LOW, HIGH = 77_123, 150_999  # where the spikes are


def values() -> list[float]:
    found = [math.sin(step / 1e4) for step in range(POINTS)]
    found[LOW], found[HIGH], found[5_000] = -40.0, 50.0, math.nan
    return found


def long_run() -> Iterator[Batch]:
    author, numbers = Author("long"), values()
    yield author.start()
    for first in range(0, POINTS, RECORD):
        steps = range(first, min(first + RECORD, POINTS))
        part = ev.Series(
            name="loss",
            steps=array("q", steps),
            times=array("q", [1_700_000_000_000_000 + step for step in steps]),
            values=array("d", numbers[steps.start : steps.stop]),
        )
        yield author.batch(ev.Metrics(time=author.now(), series=[part]))


async def stored(database: str, batches: Iterable[Batch]) -> None:
    pool = await open_pool(database)
    try:
        await migrate(pool)
        worker = Worker(pool, address(database), "topic")
        await worker.assign([0])
        records = [encode(batch) for batch in batches]
        await worker.apply(
            [
                Record("topic", 0, offset, one.key, one.value, tuple(one.headers), 0)
                for offset, one in enumerate(records)
            ]
        )
    finally:
        await pool.close()


async def test_a_chart_of_a_long_series_shows_its_ends_and_its_extremes_exactly(database: str) -> None:
    await stored(database, long_run())
    store = await Reading.open(database)
    try:
        page = await store.series("long", names=["loss"], buckets=100)
    finally:
        await store.close()

    assert page is not None
    (chart,) = page.series
    steps = [step for step, _, _ in chart.points]
    found = {value: step for step, _, value in chart.points}
    assert len(chart.points) <= 400
    assert steps == sorted(steps)
    assert chart.points[0][::2] == (0, 0.0)
    assert chart.points[-1][::2] == (POINTS - 1, values()[-1])
    assert abs(found[-40.0] - LOW) <= 500
    assert abs(found[50.0] - HIGH) <= 500
    assert (chart.count, chart.non_finite, chart.min, chart.max) == (POINTS, 1, -40.0, 50.0)
