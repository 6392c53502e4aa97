"""
The cost of a point as store and work grow by a factor of 10, and of 100: worker and PostgreSQL, without a broker.

Records are created beforehand, so that only decoding, folding and storing are timed.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator
from statistics import median
from time import monotonic, perf_counter
from typing import NamedTuple

from benchmarks.environments import Missing
from consumers.log.record import Record
from consumers.materialiser.gc_tuning import tune_gc
from consumers.materialiser.pace import WIDE_FACTOR, WIDE_SERIES
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from consumers.store.read.reader import StoreReader
from schemas.events import MetricRows, Metrics, Series
from schemas.wire import Envelope, ProducerId, RunId, encode

RECORD_POINTS = 1_000  # in a record of a busy producer
TRANSACTION = 500  # records, the default of the materialiser's settings
KINDS = ("grad", "weight", "update", "norm")
ROW_SERIES = 1_000  # of a row, at most: MAX_COLUMNS of the client
WIDE_POINTS, WIDE_STEPS = 2_000_000, 200  # of a run of many series: points at least, and steps at most
START_US = 1_700_000_000_000_000
CHART_BUCKETS = 1_000
CHART_CALLS = 15
RUN, SERIES = "long", "loss"  # of the charts


class Growth(NamedTuple):
    """Cost at three sizes, each ten times the one before."""

    what: str  # grows
    sizes: tuple[int, ...]
    us_per_point: tuple[float, ...]

    @property
    def slope(self) -> tuple[float, ...]:
        """Return the factor by which the cost of a point grows each time the size grows by ten."""
        return tuple(late / early for early, late in zip(self.us_per_point, self.us_per_point[1:], strict=False))


class Chart(NamedTuple):
    """Time that the store needs for a chart of 1,000 buckets."""

    points: int
    median_ms: float
    max_ms: float


class RecordLog:
    """Records as the producer of each run would send them, with the offsets that a log would assign."""

    def __init__(self) -> None:
        self._values = array("d", [random.Random(1).gauss(0, 1) for _ in range(100_000)])
        self._offset = 0
        self._sent: dict[str, int] = {}

    def record(self, run_id: str, series: int, points: int, name: str = "train/metric") -> Record:
        """Return the next record of a run, with `points` points for each of `series` series."""
        seq = self._sent.get(run_id, 0)
        first, each = seq * points, points
        time = START_US + first * 1_000
        parts = [
            Series(
                name=name if series == 1 else f"{name}_{number}",
                steps=array("q", range(first, first + each)),
                times=array("q", range(time, time + each * 1_000, 1_000)),
                values=self._values[(at := random.Random(seq + number).randrange(90_000)) : at + each],
            )
            for number in range(series)
        ]
        return self._encode(run_id, time, Metrics(time=time, series=parts))

    def rows(self, run_id: str, series: int, steps: int) -> Iterator[Record]:
        """Yield the records of a run that emits points of all series at each step, as the client sends them."""
        names = [f"layer_{number // 4}/{KINDS[number % 4]}" for number in range(series)]
        for step in range(steps):
            time = START_US + step * 1_000_000
            for first in range(0, series, ROW_SERIES):
                part = tuple(names[first : first + ROW_SERIES])
                at = random.Random(step + first).randrange(90_000)
                event = MetricRows(
                    time=time,
                    names=part,
                    steps=array("q", [step]),
                    times=array("q", [time]),
                    values=[self._values[at : at + len(part)]],
                )
                yield self._encode(run_id, time, event)

    def _encode(self, run_id: str, time: int, event: Metrics | MetricRows) -> Record:
        seq = self._sent.get(run_id, 0)
        self._sent[run_id] = seq + 1
        one = encode(Envelope(RunId(run_id), ProducerId("p"), seq, time, event))
        self._offset += 1
        return Record("growth", 0, self._offset - 1, one.key, one.value, tuple(one.headers), time // 1_000)


class Store:
    """A timed worker on a database of its own."""

    def __init__(self, db: object, worker: Worker, reading: StoreReader, until: float) -> None:
        self._database, self._worker, self._reading, self._until = db, worker, reading, until
        self.log = RecordLog()

    async def apply(self, records: Iterator[Record], transaction: int = TRANSACTION) -> float:
        """Store records and return the time that took, s. Raises Missing when no time is left."""
        spent, batch = 0.0, list[Record]()
        for record in records:
            batch.append(record)
            if len(batch) == transaction:
                spent += await self._applied(batch)
                batch.clear()
        return spent + (await self._applied(batch) if batch else 0.0)

    async def _applied(self, batch: list[Record]) -> float:
        if monotonic() > self._until:
            raise Missing("no time left")
        begin = perf_counter()
        await self._worker.apply(batch)
        return perf_counter() - begin

    async def chart(self, points: int) -> Chart:
        """Time charts of the long series."""
        times = []
        for _ in range(CHART_CALLS):
            begin = perf_counter()
            page = await self._reading.series(RUN, names=[SERIES], buckets=CHART_BUCKETS)
            times.append((perf_counter() - begin) * 1e3)
        assert page is not None
        assert page.series[0].count == points
        return Chart(points, median(times), max(times))


async def measure_growth(
    dsn: str, *, quick: bool, until: float, report: Callable[[str], None]
) -> tuple[list[Growth], list[Chart]]:
    """
    Return the cost of a point as series, runs and stored points grow, and of charts as points grow.

    Raises Missing at the monotonic time `until`.
    """
    tune_gc()  # as the materialiser's process does
    db = await open_database(dsn)
    await migrate(db)
    worker = Worker(db, "growth")
    await worker.assign([0])
    reading = await StoreReader.open(dsn)
    store = Store(db, worker, reading, until)
    try:
        found = [await _series(store, quick, report), await _runs(store, quick, report)]
        grown, charts = await _points(store, quick, report)
        return [*found, grown], charts
    finally:
        await reading.close()
        await db.close()


async def _series(store: Store, quick: bool, report: Callable[[str], None]) -> Growth:
    sizes = (10, 100, 1_000) if quick else (10, 100, 1_000, 10_000, 100_000)
    costs, records = [], 20 if quick else 200
    for series in sizes:
        report(f"growth: {series:,} series of a run")
        run = f"series-{series}"
        if series < ROW_SERIES // 10:  # the client sends so few in columns
            made = [store.log.record(run, series, RECORD_POINTS // series) for _ in range(records)]
            costs.append(await store.apply(iter(made)) * 1e6 / (records * RECORD_POINTS))
            continue
        steps = 21 if quick else min(WIDE_STEPS, max(21, WIDE_POINTS // series))
        made = list(store.log.rows(run, series, steps))
        first = len(made) // steps
        await store.apply(iter(made[:first]))  # the rows of the series are made once
        wide = TRANSACTION * WIDE_FACTOR if series >= WIDE_SERIES else TRANSACTION
        costs.append(await store.apply(iter(made[first:]), wide) * 1e6 / ((steps - 1) * series))
    return Growth("series of a run, all at each step", sizes, tuple(costs))


async def _runs(store: Store, quick: bool, report: Callable[[str], None]) -> Growth:
    sizes, records = ((1, 10, 100), 100) if quick else ((10, 100, 1_000), 1_000)
    costs = []
    for runs in sizes:
        report(f"growth: {runs:,} runs")
        made = [store.log.record(f"runs-{runs}-{number % runs}", 10, RECORD_POINTS // 10) for number in range(records)]
        costs.append(await store.apply(iter(made)) * 1e6 / (records * RECORD_POINTS))
    return Growth("runs at once, 10 series each", sizes, tuple(costs))


async def _points(store: Store, quick: bool, report: Callable[[str], None]) -> tuple[Growth, list[Chart]]:
    sizes = (10_000, 100_000, 1_000_000) if quick else (100_000, 1_000_000, 10_000_000)
    last = sizes[0] // RECORD_POINTS  # records that are timed at each size
    costs, charts, stored = [], [], 0
    for size in sizes:
        report(f"growth: {size:,} points of a series")
        records = size // RECORD_POINTS - stored
        await store.apply(store.log.record(RUN, 1, RECORD_POINTS, SERIES) for _ in range(records - last))
        made = [store.log.record(RUN, 1, RECORD_POINTS, SERIES) for _ in range(last)]
        costs.append(await store.apply(iter(made)) * 1e6 / (last * RECORD_POINTS))
        stored += records
        charts.append(await store.chart(size))
    return Growth("points of a series", sizes, tuple(costs)), charts
