"""
How long the store takes for a chart of 1,000 buckets, by size of the series and order of its steps.

The chunks of each series are written directly, as the fold would write them, so 100 million points (1.7 GB) take two
minutes. `python -m benchmarks.charts postgresql://... [points ...]` prints a table; it creates tables in that database,
which must be empty.
"""

from __future__ import annotations

import asyncio
import math
import sys
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

from consumers.materialiser.fold.corners import corners_of
from consumers.store.codec.copy_format import COLUMNS, copy_stream
from consumers.store.migrations import migrate
from consumers.store.pool import PooledConnection, open_database
from consumers.store.read.charts.series import Wanted, charts
from consumers.store.read.charts.summaries import ALL, Window
from consumers.store.rows import CHUNK_POINTS, GROUP_CHUNKS, ChunkRow, FullGroup
from consumers.store.write.chunk_groups import save_groups
from consumers.store.write.partitions import open_months

SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
FEW = 10_000_000  # points of series with steps in another order than they rise
BUCKETS, CALLS, MONTH = 1_000, 15, 202601
START_US = 1_700_000_000_000_000
COPY_S = 3_600


class Measured(NamedTuple):
    """Median time of a chart."""

    order: str
    points: int
    ms: dict[str, float]  # by what is asked for


def chunks_of(series: UUID, points: int, order: str) -> Iterator[ChunkRow]:
    """Yield the chunks of a series with a spike and a NaN."""
    for first in range(0, points, CHUNK_POINTS):
        places = range(first, first + CHUNK_POINTS)
        steps = {
            "rising": lambda at: at,
            "falling": lambda at: points - at,
            "interleaved": lambda at: at // 4 + at % 4 * 3,  # four processes write it
        }[order]
        values = array("d", [math.sin(at / 1e4) for at in places])
        if first // CHUNK_POINTS == points // CHUNK_POINTS // 3:
            values[3], values[500] = math.nan, 77.0
        row = ChunkRow(
            series, first, MONTH, CHUNK_POINTS, min(map(steps, places)), max(map(steps, places)),
            START_US + 1_000 * first, START_US + 1_000 * places[-1], values[0], values[-1],
            min(value for value in values if value == value), max(value for value in values if value == value),  # noqa: PLR0124
            sum(map(math.isnan, values)), array("q", map(steps, places)),
            array("q", [START_US + 1_000 * at for at in places]), values,
        )  # fmt: skip
        row.corners, row.ends = corners_of(row, ends_repeat=order == "interleaved")
        yield row


async def store(connection: PooledConnection, series: UUID, points: int, order: str) -> None:
    """Write a series of whole chunks, and the summaries of their groups."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in copy_stream(chunks_of(series, points, order)):
            yield piece

    await connection.copy_to_table("chunks", source=pieces(), columns=COLUMNS, format="binary", timeout=COPY_S)
    for number in range(points // CHUNK_POINTS // GROUP_CHUNKS):
        await save_groups(connection, [FullGroup(series, number, MONTH)])


async def measure(connection: PooledConnection, row: dict[str, Any], window: Window) -> float:
    """Return the median time of a chart in ms."""
    times = []
    for _ in range(CALLS):
        begin = perf_counter()
        async for _, found in charts(connection, [Wanted([row], window)], BUCKETS):
            assert found.chart.in_range
        times.append(1_000 * (perf_counter() - begin))
    return median(times)


async def run(dsn: str, sizes: Sequence[int]) -> list[Measured]:
    """Fill the database and measure."""
    database = await open_database(dsn)
    found = []
    try:
        await migrate(database)
        async with database.acquire() as connection:
            async with connection.transaction():
                await open_months(connection, {MONTH: 1})
            wanted = [(order, size) for order in ("rising", "falling", "interleaved") for size in sizes]
            for number, (order, size) in enumerate(one for one in wanted if one[0] == "rising" or one[1] <= FEW):
                series = UUID(int=number + 1)
                await store(connection, series, size, order)
                await connection.execute("VACUUM ANALYZE chunk_groups")
                row = {"series_id": series, "month": MONTH, "points": size, "open_index": size}
                last = size // 4 if order == "interleaved" else size
                windows = {
                    "all": ALL,
                    "a tenth of the steps": Window(last // 2 + 7, last // 2 + last // 10),
                    "half of the time": Window(min_time=START_US + 250 * size + 7, max_time=START_US + 750 * size),
                    "1,000 steps": Window(last // 2 + 7, last // 2 + 1_006),
                }
                ms = {name: await measure(connection, row, window) for name, window in windows.items()}
                found.append(Measured(order, size, ms))
                print(found[-1], file=sys.stderr, flush=True)
    finally:
        await database.close()
    return found


def table(found: Sequence[Measured]) -> str:
    """Return the measurements as Markdown."""
    names = list(found[0].ms)
    lines = [f"| steps | points | {' | '.join(f'{name}, ms' for name in names)} |", "|---|---|" + "---|" * len(names)]
    for one in found:
        lines.append(f"| {one.order} | {one.points:,} | {' | '.join(f'{one.ms[name]:.1f}' for name in names)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(asyncio.run(run(sys.argv[1], [int(one) for one in sys.argv[2:]] or SIZES))))
