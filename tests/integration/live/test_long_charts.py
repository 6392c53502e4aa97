"""A chart of a series that is too long to be read completely shows every extreme, from its chunk summaries."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from consumers.log.record import Record
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from consumers.store.read.downsampling import Sample, shrink, supersede
from consumers.store.read.reader import StoreReader
from schemas import events as ev
from schemas.columns import float_to_json
from schemas.wire import Envelope, encode
from tests.support.log_author import Author

BEGAN = 1_700_000_000_000_000  # µs
POINTS, RECORD = 230_500, 1_000  # the last 500 points are not in a full chunk
LOW, HIGH = 77_123, 150_999  # steps of the spikes


def values() -> list[float]:
    found = [math.sin(step / 1e4) for step in range(POINTS)]
    found[LOW], found[HIGH], found[5_000] = -40.0, 50.0, math.nan
    return found


def run_of(numbers: Sequence[float], order: Callable[[int], int] = int) -> Iterator[Envelope]:
    author = Author("long")
    yield author.start()
    for first in range(0, len(numbers), RECORD):
        places = range(first, min(first + RECORD, len(numbers)))
        part = ev.Series(
            name="loss",
            steps=array("q", map(order, places)),
            times=array("q", [BEGAN + at for at in places]),
            values=array("d", numbers[places.start : places.stop]),
        )
        yield author.envelope(ev.Metrics(time=author.now(), series=[part]))


async def stored(database: str, envelopes: Iterable[Envelope]) -> None:
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


async def test_a_chart_of_a_long_series_shows_its_ends_and_its_extremes_exactly(database: str) -> None:
    await stored(database, run_of(values()))
    store = await StoreReader.open(database)
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


@pytest.mark.parametrize("order", [int, lambda at: at ^ 1, lambda at: at // 2], ids=["rising", "swapped", "twice"])
async def test_a_chart_of_a_series_read_whole_is_that_of_its_points(database: str, order: Callable[[int], int]) -> None:
    numbers = values()[:7_300]
    await stored(database, run_of(numbers, order))
    store = await StoreReader.open(database)
    try:
        page = await store.series("long", names=["loss"], buckets=100)
    finally:
        await store.close()

    assert page is not None
    samples = [Sample(order(at), BEGAN + at, value) for at, value in enumerate(numbers)]
    expected = shrink(supersede([samples]), 100)
    assert page.series[0].points == [(step, time, float_to_json(value)) for step, time, value in expected]
