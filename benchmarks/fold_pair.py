"""
What folding costs in this tree compared with another one: the same records, in turn, each into a new database.

    python benchmarks/fold_pair.py --other FOLDER     # a checkout of another release, such as a `git worktree`

Processor time of the worker and of its connections to PostgreSQL, per point; the best of all rounds, and the median and
the middle half of the ratios of 12 rounds, in each of which both trees fold, in turn the one and the other first.
Records are created beforehand, so only decoding, folding and storing count. Three shapes: busy series, many calm
series, and long series whose groups of chunks are summarised.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from time import perf_counter, process_time
from typing import Any, NamedTuple

HERE = Path(__file__).resolve()
ROOT = HERE.parents[1]
if "--fold" not in sys.argv:  # the parent; a child imports the tree that it measures
    sys.path.insert(0, str(ROOT))

BATCH_RECORDS = 500
ROUNDS, QUICK_ROUNDS = 12, 3
TARGET = 1.02
CONNECTIONS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"


class Shape(NamedTuple):
    """What one round folds."""

    records: int
    runs: int
    series: int  # of a record
    points: int  # of each of these
    first: int = 16  # records before those that count: they open partitions and plan statements


SHAPES = {
    "16 busy series, 1,000 points a record": Shape(480, 16, 1, 1_000),
    "50 series of 20 runs, 10 points each a record": Shape(1_200, 20, 50, 10),
    "one long series, 1,000 points a record": Shape(1_600, 1, 1, 1_000, 320),
}


async def fold(dsn: str, shape: Shape) -> dict[str, float]:
    """Fold the records of a shape into an empty database; returns µs a point."""
    from benchmarks.growth import RecordLog
    from consumers.materialiser.gc_tuning import tune_gc
    from consumers.materialiser.worker import Worker
    from consumers.store.migrations import migrate
    from consumers.store.pool import open_database

    log = RecordLog()
    records = [log.record(f"run-{at % shape.runs}", shape.series, shape.points) for at in range(shape.records)]
    tune_gc()
    database = await open_database(dsn)
    try:
        await migrate(database)
        worker = Worker(database, "growth")
        await worker.assign([0])
        for first in range(0, shape.first, 16):
            await worker.apply(records[first : first + 16])
        connections = await _connections(database)
        used, server, begin = process_time(), _server_s(connections), perf_counter()
        for first in range(shape.first, len(records), BATCH_RECORDS):
            await worker.apply(records[first : first + BATCH_RECORDS])
        points = (shape.records - shape.first) * shape.series * shape.points
        spent = process_time() - used, _server_s(connections) - server, perf_counter() - begin
        return dict(zip(("worker", "PostgreSQL", "wall"), (one * 1e6 / points for one in spent), strict=True))
    finally:
        await database.close()


async def _connections(database: Any) -> list[int]:
    """Return the processes of PostgreSQL that serve this one."""
    async with database.acquire() as connection:
        return [row["pid"] for row in await connection.fetch(CONNECTIONS)]


def _server_s(processes: list[int]) -> float:
    return sum(int(Path(f"/proc/{one}/schedstat").read_text().split()[0]) for one in processes) / 1e9


def rounds(dsn: str, trees: tuple[Path, Path], name: str, count: int) -> Iterator[list[dict[str, float]]]:
    """Yield what both trees needed in each round; the first of a round changes from one to the next."""
    from benchmarks.search import execute

    for number in range(count):
        found: dict[Path, dict[str, float]] = {}
        for tree in trees if number % 2 else trees[::-1]:
            database = f"fold_{os.getpid()}"
            asyncio.run(execute(dsn, f"CREATE DATABASE {database}"))
            try:
                found[tree] = _child(tree, f"{dsn.rpartition('/')[0]}/{database}", name)
            finally:
                asyncio.run(execute(dsn, f"DROP DATABASE {database} WITH (FORCE)"))
        yield [found[tree] for tree in trees]


def _child(tree: Path, dsn: str, name: str) -> dict[str, float]:
    command = [sys.executable, "-P", str(HERE), "--fold", name, "--dsn", dsn]
    answer = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(tree)}, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def compare(dsn: str, other: Path, count: int) -> list[Any]:
    """Print a table of both trees; returns the figures of this one for the history, compared with the other."""
    from benchmarks.history.figure import lower
    from benchmarks.machine import commit, load

    figures = []
    print(
        "| what is folded | tree | worker, µs a point | PostgreSQL | together | ratio |\n|---|---|---:|---:|---:|---:|"
    )
    for name in SHAPES:
        pairs = list(rounds(dsn, (other, ROOT), name, count))
        sums = [[one["worker"] + one["PostgreSQL"] for one in pair] for pair in pairs]
        ratios = [now / before for before, now in sums]
        ratio = min(now for _, now in sums) / min(before for before, _ in sums)
        for at, tree in enumerate(("other", "this")):
            best = [min(pair[at][part] for pair in pairs) for part in ("worker", "PostgreSQL")]
            low, middle, high = quantiles(ratios, n=4, method="inclusive")
            mark = f"{ratio:.3f} of the best, {middle:.3f} median ({low:.3f} to {high:.3f})" if at else ""
            print(f"| {name} | {tree} | {best[0]:.3f} | {best[1]:.3f} | {min(one[at] for one in sums):.3f} | {mark} |")
        least = [min(one[at] for one in sums) for at in (0, 1)]
        figures.append(lower(f"fold, {name}: CPU", least[1], "µs/point", {commit(other)[0][:8]: least[0]}, bound=1.1))
        print(f"load average {load():.1f}", file=sys.stderr, flush=True)
    print(f"\nTarget: a ratio of at most {TARGET}.")
    return figures


def main() -> None:
    """Read the options; measure, or fold as a child of this program."""
    parser: Any = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--other", type=Path, help="the tree that this one is compared with")
    parser.add_argument("--quick", action="store_true", help="3 rounds, a minute")
    parser.add_argument("--fold", help=argparse.SUPPRESS)
    parser.add_argument("--dsn", help=argparse.SUPPRESS)
    if "--fold" in sys.argv:  # the other tree may have no history
        options = parser.parse_args()
        print(json.dumps(asyncio.run(fold(options.dsn, SHAPES[options.fold]))))
        return
    from benchmarks.history.keeping import add_keep, keep
    from benchmarks.machine import command_of, describe, load
    from benchmarks.search import running_postgres

    add_keep(parser)
    options = parser.parse_args()
    if options.other is None:
        parser.error("give --other FOLDER")
    began, before = perf_counter(), load()
    with tempfile.TemporaryDirectory(prefix="gateway-fold-") as folder, running_postgres(Path(folder)) as dsn:
        figures = compare(dsn, options.other.resolve(), QUICK_ROUNDS if options.quick else ROUNDS)
    command = command_of("python benchmarks/fold_pair.py", sys.argv[1:])
    keep(options.keep, describe(command, (), (before, load()), perf_counter() - began), figures)


if __name__ == "__main__":
    main()
