"""
What a page of the runs table costs among many runs: `python -m benchmarks.runs_table [--runs 100000] [--quick]`.

Loads the runs of benchmarks/search.py into a fresh database and asks for pages of 200 runs with 12 columns, as the
dashboard does: finding the runs, reading the cells, and counting all runs that the filter finds; and the page after
that. Prints the median of the wall time, and the processor time of PostgreSQL and this process together, which says
more on a busy machine. GATEWAY_POSTGRES names a server to use; without it one is started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import NamedTuple

from benchmarks.charts import server_s
from benchmarks.history.figure import Figure, lower
from benchmarks.history.keeping import add_keep, keep
from benchmarks.machine import caption, command_of, describe, load
from benchmarks.reference import LOOP, reference_us
from benchmarks.search import LOAD, execute, running_postgres
from consumers.live.api.tables.table import read_columns
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from consumers.store.read.reader import StoreReader
from consumers.store.read.run_documents import RunsWanted
from consumers.store.read.snapshot import Snapshot
from consumers.store.search.filter import parse_filter
from consumers.store.search.filter_terms import All
from consumers.store.search.filter_tree import read_orders

TARGET_MS, LIMIT = 100.0, 200
COLUMNS = read_columns([
    ["fact", "name"], ["fact", "state"], ["fact", "created"], ["fact", "duration"], ["param", "lr"], ["param", "seed"],
    ["param", "name"], ["metric", "loss"], ["metric", "val_loss"], ["metric", "acc", "max"], ["tag", "team"],
    ["tag", "user"],
])  # fmt: skip
QUESTIONS = [
    # filter, order, descending
    ("", ["fact", "created"], True),
    ("", ["fact", "name"], False),
    ("", ["fact", "duration"], True),
    ("", ["fact", "experiment"], False),
    ("", ["metric", "loss"], False),
    ("", ["metric", "loss"], True),
    ("", ["metric", "loss", "min"], False),
    ("", ["metric", "loss", "count"], False),
    ("", ["param", "lr"], False),
    ("", ["param", "name"], True),
    ("", ["tag", "user"], False),
    ("metrics.loss < 0.3 and params.lr = 0.1", ["metric", "acc"], True),
    ("metrics.loss < 0.9", ["param", "lr"], False),
    ("min(metrics.loss) < 0.5", ["fact", "created"], True),
    ("text has 'user-7'", ["fact", "created"], True),
    ("experiment = 'digits'", ["metric", "loss"], False),
]


class Cost(NamedTuple):
    """Of one page, ms."""

    find: float
    cells: float
    counting: float

    @property
    def total(self) -> float:
        """Together."""
        return sum(self)


class Clock:
    """Measures a step in wall time and in processor time."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._begin = self._now()

    def _now(self) -> tuple[float, float]:
        return perf_counter(), process_time() + server_s(self._server)

    def lap(self) -> tuple[float, float]:
        """Return the ms since the last lap: wall, processor."""
        before, self._begin = self._begin, self._now()
        wall, busy = (1_000 * (now - then) for now, then in zip(self._begin, before, strict=True))
        return wall, busy


async def page(now: Snapshot, wanted: RunsWanted, token: str | None, server: int) -> tuple[Cost, Cost, str | None]:
    """Read one page; returns wall and processor time, and the token of the next one."""
    clock = Clock(server)
    found = await now.documents.find(wanted, limit=LIMIT, page_token=token)
    laps = [clock.lap()]
    await now.tables.cells([place.run_id for place in found.places], COLUMNS)
    laps.append(clock.lap())
    await now.tables.count(wanted)
    laps.append(clock.lap())
    wall, busy = (Cost(*column) for column in zip(*laps, strict=True))
    return wall, busy, found.token_after(len(found.places)) if found.places else None


class Page(NamedTuple):
    """What one question costs, ms."""

    text: str  # filter
    order: str
    wall: float  # median
    best: Cost  # processor time of the best round
    following: float  # of the page after it, likewise

    @property
    def name(self) -> str:
        """Return the question in words."""
        return f"{self.text or 'all'} by {self.order}"


async def measure(dsn: str, runs: int, rounds: int) -> list[Page]:
    """Fill a database and ask."""
    name = f"runs_table_{os.getpid()}"
    await execute(dsn, f"CREATE DATABASE {name}")
    database = await open_database(f"{dsn.rpartition('/')[0]}/{name}", size=1)
    try:
        await migrate(database)
        async with database.acquire() as connection:
            for statement in LOAD.split(";\n"):
                await connection.execute(statement.replace("$1", str(int(runs))), timeout=900)
            server = await connection.fetchval("SELECT pg_backend_pid()")
        return [found async for found in ask_all(StoreReader(database), server, rounds)]
    finally:
        await database.close()
        await execute(dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def ask_all(reading: StoreReader, server: int, rounds: int) -> AsyncIterator[Page]:
    """Yield the cost of each question."""
    for text, key, descending in QUESTIONS:
        orders = read_orders([{"key": key, "descending": descending}])
        wanted = RunsWanted(All((parse_filter(text),)), "active", None, orders)
        first, second = list[tuple[Cost, Cost]](), list[Cost]()
        async with reading.snapshot() as now:
            for _ in range(rounds):
                wall, busy, token = await page(now, wanted, None, server)
                first.append((wall, busy))
                if token is not None:
                    second.append((await page(now, wanted, token, server))[1])
        best = min((busy for _, busy in first), key=lambda one: one.total)
        order = f"{'('.join(reversed(key[1:]))}{')' if len(key) > 2 else ''}{' desc' if descending else ''}"
        next_ms = min((one.total for one in second), default=0.0)
        found = Page(text, order, median(wall.total for wall, _ in first), best, next_ms)
        print(f"{found.name}: {found.wall:.0f} ms", file=sys.stderr, flush=True)
        yield found


def table(found: Sequence[Page]) -> str:
    """Return a Markdown table."""
    lines = [
        "| filter | order | wall ms | find + cells + count, CPU ms | CPU ms | second page, CPU ms |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for one in found:
        parts = " + ".join(f"{part:.0f}" for part in one.best)
        cells = f"{one.wall:.0f} | {parts} | {one.best.total:.0f} | {one.following:.0f}"
        lines.append(f"| `{one.text}` | {one.order} | {cells} |")
    above = [f"`{one.text}` by {one.order}" for one in found if max(one.best.total, one.following) > TARGET_MS]
    lines.append(f"\nTarget: {TARGET_MS:.0f} ms of processor time a page. Above it: {'; '.join(above) or 'none'}.")
    return "\n".join(lines)


def figures(found: Sequence[Page], reference: float) -> list[Figure]:
    """Return all times for the history; CPU times are compared with that of the reference loop, µs."""
    kept = list[Figure]()
    for one in found:
        kept.append(lower(f"{one.name}: wall", one.wall, "ms"))
        pages = {"CPU": one.best.total, "second page, CPU": one.following}
        loop = {LOOP: reference / 1_000}
        kept += [lower(f"{one.name}: {what}", busy, "ms", loop, bound=1.4) for what, busy in pages.items() if busy]
    return kept


def main() -> None:
    """Read the options, measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 9")
    add_keep(parser)
    options = parser.parse_args()
    started, before, reference = perf_counter(), load(), reference_us()
    with tempfile.TemporaryDirectory(prefix="gateway-table-") as folder, running_postgres(Path(folder)) as dsn:
        found = asyncio.run(measure(dsn, options.runs, 3 if options.quick else 9))
    print(table(found))
    command = command_of("python -m benchmarks.runs_table", sys.argv[1:])
    facts = describe(command, [], (before, load()), perf_counter() - started)
    print(f"\n{caption(facts)}")
    keep(options.keep, facts, figures(found, reference))


if __name__ == "__main__":
    main()
