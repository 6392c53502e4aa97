"""
Measure searches among many runs at the store: `python -m benchmarks.search [--runs 100000]`.

Loads runs with 5 parameters, 5 metrics and 2 tags each into a fresh database, then runs typical searches and prints the
median and the slowest of 20 answers of 50 runs each, summaries included. GATEWAY_POSTGRES names a server to use;
without it one is started.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import asyncpg

from benchmarks.history.figure import lower
from benchmarks.history.keeping import add_keep, keep
from benchmarks.machine import caption, describe, load
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from consumers.store.read.reader import StoreReader
from consumers.store.search.filter import parse_filter, parse_order
from gateway.local.ports import free_ports
from gateway.local.servers import postgres
from gateway.local.supervision.process import end, spawn, wait_until

TARGET_MS = 50.0
ROUNDS = 20
LIMIT = 50
QUESTIONS = [
    # filter, order, description
    ("", None, "the newest"),
    ("metrics.loss < 0.001", None, "0.1 % of the runs"),
    ("metrics.loss < 0.3 and params.lr = 0.1", None, "a metric and a parameter, 6 %"),
    ("metrics.loss < 0.0005 and params.seed = 7", None, "both rare"),
    ("metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x' and state = 'finished'", None, "all four"),
    ("metrics.loss < 0.3 and params.lr = 0.1 and tags.team = 'x' and state = 'finished'", "metrics.loss", "… the best"),
    ("params.lr = 0.1", "metrics.acc desc", "the best of a fifth"),
    ("", "metrics.loss", "the best of all"),
    ("tags.user = 'user-77'", None, "one user"),
    ("params.name like 'net-77%'", None, "a pattern"),
    ("metrics.loss < 0.001 or metrics.acc > 0.999", None, "either"),
    ("not params.lr = 0.1 and metrics.loss < 0.3", None, "all but some"),
    ("state = 'lost'", None, "lost, 1 %"),
    ("state = 'running'", None, "none at all"),
    ("metrics.loss > 2", None, "none at all"),
]

LOAD = """
SELECT setseed(0.5);
INSERT INTO runs
SELECT 'run-' || i, 'name-' || i, 'digits', 'sweep-' || i / 100, '', '', '', false, '{}',
       CASE WHEN i % 100 = 0 THEN 'running' WHEN i % 10 = 1 THEN 'failed' ELSE 'finished' END, '', 1,
       1700000000000000 + i * 1000000::bigint, 1700000000000000 + i * 1000000::bigint,
       1700000060000000 + i * 1000000::bigint, 1700000060000000 + i * 1000000::bigint, 5000, '', '{}', false, 0, i
FROM generate_series(1, $1) AS i;
INSERT INTO params
SELECT 'run-' || i, 'main', 1, p.name, p.value FROM generate_series(1, $1) AS i CROSS JOIN LATERAL (VALUES
    ('lr', jsonb_build_object('type', 'float', 'value', (ARRAY[0.1, 0.03, 0.01, 0.003, 0.001])[1 + i % 5])),
    ('seed', jsonb_build_object('type', 'int', 'value', i % 1000)),
    ('depth', jsonb_build_object('type', 'int', 'value', i % 7)),
    ('name', jsonb_build_object('type', 'string', 'value', 'net-' || i % 5000)),
    ('fast', jsonb_build_object('type', 'bool', 'value', i % 2 = 0))) AS p (name, value);
INSERT INTO tags
SELECT 'run-' || i, t.name, t.value FROM generate_series(1, $1) AS i CROSS JOIN LATERAL (VALUES
    ('team', (ARRAY['x', 'y', 'z'])[1 + i % 3]), ('user', 'user-' || i % 500)) AS t (name, value);
INSERT INTO series (series_id, run_id, step_name, attempt, name, labels, integer, system, deleted, points, non_finite,
                    last_step, last_time, last_value, min_value, max_value, open_index)
SELECT md5(i || name)::uuid, 'run-' || i, 'main', 1, name, '{}', false, false, false, 1000, 0, 999,
       1700000060000000, random(), 0, 1, 1000
FROM generate_series(1, $1) AS i, unnest(ARRAY['loss', 'acc', 'val_loss', 'val_acc', 'grad_norm']) AS name;
VACUUM ANALYZE
"""


def main() -> None:
    """Load the runs, search, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=100_000)
    add_keep(parser)
    asked = parser.parse_args()
    runs = asked.runs
    started, before = perf_counter(), load()
    with tempfile.TemporaryDirectory(prefix="gateway-search-") as folder, running_postgres(Path(folder)) as dsn:
        found = asyncio.run(measure(dsn, runs))
    print(table(found))
    facts = describe(f"python -m benchmarks.search --runs {runs}", [], (before, load()), perf_counter() - started)
    print(f"\n{caption(facts)}")
    figures = [lower(f"{one.text or 'all'} by {one.order}: median", one.median_ms, "ms") for one in found]
    keep(asked.keep, facts, figures)


class Searched(NamedTuple):
    """One question, the number of runs found, and its times."""

    text: str
    order: str
    what: str
    runs: int
    median_ms: float
    max_ms: float


async def measure(dsn: str, runs: int) -> list[Searched]:
    """Fill a database and ask all questions."""
    name = f"search_{os.getpid()}"
    await execute(dsn, f"CREATE DATABASE {name}")
    mine = f"{dsn.rpartition('/')[0]}/{name}"
    try:
        db = await open_database(mine)
        try:
            await migrate(db)
            async with db.acquire() as connection:
                for statement in LOAD.split(";\n"):
                    await connection.execute(statement.replace("$1", str(int(runs))), timeout=600)
            return await ask_all(StoreReader(db))
        finally:
            await db.close()
    finally:
        await execute(dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def ask_all(reading: StoreReader) -> list[Searched]:
    """Ask every question several times."""
    answers = []
    for text, order, what in QUESTIONS:
        times, found = [], 0
        for _ in range(ROUNDS):
            start = perf_counter()
            where, by = parse_filter(text), parse_order(order) if order else None
            found = len(await reading.runs(filter=where, order=by, limit=LIMIT))
            times.append((perf_counter() - start) * 1e3)
        answers.append(Searched(text, order or "newest", what, found, median(times), max(times)))
    return answers


def table(found: Sequence[Searched]) -> str:
    """Return a Markdown table of the searches."""
    lines = ["| filter | order | what | found | median ms | slowest ms |", "|---|---|---|---:|---:|---:|"]
    for one in found:
        mark = "" if one.median_ms <= TARGET_MS else " **above the target**"
        cells = f"{one.what} | {one.runs} | {one.median_ms:.1f}{mark} | {one.max_ms:.1f}"
        lines.append(f"| `{one.text}` | {one.order} | {cells} |")
    return "\n".join(lines)


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """Yield the address of a server: the one in GATEWAY_POSTGRES, or a new one."""
    if given := os.environ.get("GATEWAY_POSTGRES"):
        yield given
        return
    (port,) = free_ports(1)
    command = postgres.prepare(folder, port=port)
    with (folder / "postgres.log").open("ab") as log:
        child = spawn(command, log)
        try:
            if not wait_until(lambda: postgres.accepts(port), child, 60):
                raise SystemExit(f"PostgreSQL did not start: {(folder / 'postgres.log').read_text()}")
            yield postgres.dsn(folder, port)
        finally:
            end(child, timeout_s=10)


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
