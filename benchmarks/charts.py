"""
How long the store takes for a chart of 1,000 buckets, by size of the series, order of its steps, and range.

`python -m benchmarks.charts` writes the chunks of each series directly, as the fold would write them, charts them, and
prints a table; with `--quick` up to 10 million points a series and fewer calls. A time is the best and the median of
the whole call in this process, and the processor time of the best call, of this process and of PostgreSQL together,
which says more on a busy machine. GATEWAY_POSTGRES names a server to use; without it one is started.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
import tempfile
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple
from uuid import UUID

from benchmarks.history.figure import Figure, lower
from benchmarks.history.keeping import add_keep, keep
from benchmarks.machine import caption, command_of, describe, load
from benchmarks.reference import LOOP, reference_us
from benchmarks.search import execute, running_postgres
from consumers.materialiser.fold.corners import corners_of
from consumers.materialiser.fold.pieces import order_of, pieces_of
from consumers.store.codec.copy_format import COLUMNS, copy_stream
from consumers.store.migrations import migrate
from consumers.store.pool import PooledConnection, open_database
from consumers.store.read.charts.series import Wanted, charts
from consumers.store.read.charts.summaries import ALL, Window
from consumers.store.rows import CHUNK_POINTS, GROUP_CHUNKS, ChunkRow, FullGroup
from consumers.store.write.chunk_groups import save_groups
from consumers.store.write.partitions import open_months

SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
QUICK_SIZES = SIZES[:3]
FEW = 10_000_000  # points of series with steps in another order than they rise; of --quick 1 million
BUCKETS, MONTH, TARGET_MS = 1_000, 202601, 20.0
SHORT_MS = 5.0  # CPU times below it scatter more
START_US = 1_700_000_000_000_000
COPY_S = 3_600
REPEATED = 1_000  # chunks that PostgreSQL repeats with later steps and times, which is faster than to send more
REPEAT = """
INSERT INTO chunks (
    series_id, first_index, month, points, min_step, max_step, min_time, max_time, first_value, last_value, min_value,
    max_value, non_finite, steps, times, point_values, ends, time_deltas, pieces, corners
)
SELECT c.series_id, c.first_index + n * $2::bigint, month, points, min_step + n * $2, max_step + n * $2,
       min_time + n * $2 * 1000, max_time + n * $2 * 1000, first_value, last_value, min_value, max_value, non_finite,
       steps, times, point_values, ends, time_deltas, pieces,
       (SELECT array_agg(at + n * $2 * CASE WHEN place IN (2, 4, 7) THEN 1 WHEN place = 9 THEN 0 ELSE 1000 END
                         ORDER BY place) FROM unnest(corners) WITH ORDINALITY AS u (at, place))
FROM generate_series(1, $3::bigint) AS n CROSS JOIN chunks c WHERE c.series_id = $1
"""


class Measured(NamedTuple):
    """Times of a chart by what is asked for: best, median, processor time of the best, ms."""

    order: str
    points: int
    ms: dict[str, tuple[float, float, float]]


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
        given = row.steps.tolist()
        in_order = order_of(given, sorted(given), row.times, times_rise=True)
        row.pieces = pieces_of(values.tolist(), in_order, is_finite=not row.non_finite)
        yield row


async def store(connection: PooledConnection, series: UUID, points: int, order: str) -> None:
    """Write a series of whole chunks, and the summaries of their groups."""
    sent = min(points, REPEATED * CHUNK_POINTS) if order == "rising" else points

    async def pieces() -> AsyncIterator[bytes]:
        for piece in copy_stream(chunks_of(series, sent, order)):
            yield piece

    await connection.copy_to_table("chunks", source=pieces(), columns=COLUMNS, format="binary", timeout=COPY_S)
    if points > sent:
        await connection.execute(REPEAT, series, sent, points // sent - 1, timeout=COPY_S)
    for number in range(points // CHUNK_POINTS // GROUP_CHUNKS):
        await save_groups(connection, [FullGroup(series, number, MONTH)])


def server_s(process: int) -> float:
    """Return the processor time of a process of this machine; 0 where it is not known."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


async def measure(
    connection: PooledConnection, row: dict[str, Any], window: Window, calls: int
) -> tuple[float, float, float]:
    """Return the best and the median time of a chart, and the least processor time, in ms."""
    times, busy = list[float](), list[float]()
    server = await connection.fetchval("SELECT pg_backend_pid()")
    for _ in range(calls):
        begin, work = perf_counter(), process_time() + server_s(server)
        async for _, found in charts(connection, [Wanted([row], window)], BUCKETS):
            assert found.chart.in_range
        times.append(1_000 * (perf_counter() - begin))
        busy.append(1_000 * (process_time() + server_s(server) - work))
    return min(times), median(times), min(busy)


def windows_of(size: int, last: int) -> dict[str, Window]:
    """Return what is asked of a series of so many points up to this step."""
    return {
        "all": ALL,
        "40 % of the steps": Window(last // 4 + 7, last // 4 + last * 4 // 10),
        "half of the time": Window(min_time=START_US + 250 * size + 7, max_time=START_US + 750 * size),
        "1,000 steps": Window(last // 2 + 7, last // 2 + 1_006),
    }


async def run(dsn: str, sizes: Sequence[int], few: int, calls: int) -> list[Measured]:
    """Fill a database and measure."""
    name = f"charts_{os.getpid()}"
    await execute(dsn, f"CREATE DATABASE {name}")
    database = await open_database(f"{dsn.rpartition('/')[0]}/{name}")
    found = []
    try:
        await migrate(database)
        async with database.acquire() as connection:
            async with connection.transaction():
                await open_months(connection, {MONTH: 1})
            wanted = [(order, size) for order in ("rising", "falling", "interleaved") for size in sizes]
            for number, (order, size) in enumerate(one for one in wanted if one[0] == "rising" or one[1] <= few):
                series = UUID(int=number + 1)
                await store(connection, series, size, order)
                await connection.execute("VACUUM ANALYZE chunk_groups")
                await connection.execute("VACUUM ANALYZE chunks", timeout=COPY_S)
                row = {"series_id": series, "month": MONTH, "points": size, "open_index": size}
                windows = windows_of(size, size // 4 if order == "interleaved" else size)
                ms = {asked: await measure(connection, row, window, calls) for asked, window in windows.items()}
                found.append(Measured(order, size, ms))
                print(found[-1], file=sys.stderr, flush=True)
    finally:
        await database.close()
        await execute(dsn, f"DROP DATABASE {name} WITH (FORCE)")
    return found


def table(found: Sequence[Measured]) -> str:
    """Return the measurements as Markdown: best / median (processor time)."""
    names = list(found[0].ms)
    lines = [f"| steps | points | {' | '.join(f'{name}, ms' for name in names)} |", "|---|---:|" + "---:|" * len(names)]
    for one in found:
        cells = [f"{best:.1f} / {middle:.1f} ({busy:.1f})" for best, middle, busy in map(one.ms.__getitem__, names)]
        lines.append(f"| {one.order} | {one.points:,} | {' | '.join(cells)} |")
    above = [f"{one.order} {one.points:,}, {name}" for one in found for name in names if one.ms[name][1] > TARGET_MS]
    lines += ["", f"Target: {TARGET_MS:.0f} ms. Medians above it: {'; '.join(above) or 'none'}."]
    return "\n".join(lines)


def figures(found: Sequence[Measured], reference: float) -> list[Figure]:
    """Return all times for the history; CPU times are compared with that of the reference loop, µs."""
    kept = list[Figure]()
    for one in found:
        for asked, (_, middle, busy) in one.ms.items():
            name = f"{one.order}, {one.points:,} points, {asked}"
            kept.append(lower(f"{name}: median", middle, "ms"))
            bound = 1.4 if busy > SHORT_MS else 1.75
            kept.append(lower(f"{name}: CPU", busy, "ms", {LOOP: reference / 1_000}, bound=bound))
    return kept


def main() -> None:
    """Read the options, measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument(
        "sizes", nargs="*", type=int, help="points of a series, multiples of a million or less than one"
    )
    parser.add_argument("--quick", action="store_true")
    add_keep(parser)
    options = parser.parse_args()
    started, before, reference = perf_counter(), load(), reference_us()
    sizes = options.sizes or (QUICK_SIZES if options.quick else SIZES)
    with tempfile.TemporaryDirectory(prefix="gateway-charts-") as folder, running_postgres(Path(folder)) as dsn:
        found = asyncio.run(run(dsn, sizes, FEW // 10 if options.quick else FEW, 9 if options.quick else 21))
    print(table(found))
    command = command_of("python -m benchmarks.charts", sys.argv[1:])
    facts = describe(command, [], (before, load()), perf_counter() - started)
    print(f"\n{caption(facts)}")
    keep(options.keep, facts, figures(found, reference))


if __name__ == "__main__":
    main()
