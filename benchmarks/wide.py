"""
A run of very many series through every part: emit, Kafka, PostgreSQL, questions of the page, trackers, verify, rebuild.

    python -m benchmarks.wide                               # 1,000, 10,000 and 100,000 series x 100 steps, 15 minutes
    python -m benchmarks.wide --series 1000 --steps 1000 --only parquet
    python -m benchmarks.wide --quick                       # 1,000 series x 50 steps, no trackers

A training calls `emit` with a dict of all names at each step. For each part: its time, and the peak memory of its
process. Every server is started on loopback, and stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import asyncpg

from benchmarks.environments import Missing
from benchmarks.filled_log import Log
from benchmarks.machine import load
from benchmarks.replays import replay, verify
from benchmarks.services import running_kafka
from benchmarks.system import running_materialiser, running_postgres
from benchmarks.targets import TRACKERS, empty_target
from benchmarks.watched import COMMAND, Watched, peak_mib
from consumers.store.read.reader import StoreReader

RUN = "wide"
DEADLINE_S = 1_800.0
CALLS = 9
EMIT = """
import json, sys, time
import gateway
series, steps, pause_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
run = gateway.start_run(run_id="wide")
kinds = ('grad', 'weight', 'update', 'norm')
point = {f"layer_{number // 4}/{kinds[number % 4]}": float(number) for number in range(series)}
spent = []
for step in range(steps):
    values = {name: value + step / 8 for name, value in point.items()}
    begin = time.perf_counter_ns()
    run.emit(values, step=step)
    spent.append(time.perf_counter_ns() - begin)
    time.sleep(pause_s)
spent.sort()
begin = time.monotonic()
report = run.finish(timeout_s=1_500)
print(json.dumps({"p50": spent[len(spent) // 2] / series / 1e3, "max": spent[-1] / series / 1e3,
                  "finish_s": time.monotonic() - begin, "sent": report.sent, "dropped": report.dropped}))
"""


def main() -> None:
    """Read the options, measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--series", type=_numbers, default=(1_000, 10_000, 100_000), help="series, separated by commas")
    parser.add_argument("--steps", type=int, default=100, help="steps of the run (default: 100)")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two steps (default: 0)")
    parser.add_argument("--only", type=lambda text: tuple(filter(None, text.split(","))), default=TRACKERS,
                        help="trackers, separated by commas; empty: none")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="1,000 series x 50 steps, no trackers")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    asked = parser.parse_args()
    if asked.quick:
        asked.series, asked.steps, asked.only = (1_000,), 50, ()
    found = [measure(series, asked.steps, asked.pause, asked.only) for series in asked.series]
    print(json.dumps(found, indent=1) if asked.json else "\n\n".join(table(one) for one in found))


def measure(series: int, steps: int, pause_s: float, trackers: Sequence[str]) -> dict[str, Any]:
    """Send one run through all parts and return the figures of each."""
    points = series * steps
    found: dict[str, Any] = {"series": series, "steps": steps, "load": load(), "parts": {}}

    def report(part: str, **figures: Any) -> None:
        found["parts"][part] = figures
        print(f"{series:,} series, {part}: {figures}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="gateway-wide-") as name, ExitStack() as stack:
        folder = Path(name)
        kafka = stack.enter_context(running_kafka(folder / "kafka", own=True))
        log = Log(kafka, stack.enter_context(running_postgres(folder / "postgres")))
        with running_materialiser(folder / "materialiser", kafka.address, log.store.address) as worker:
            begin = monotonic()
            training = _training(folder, kafka.address, series, steps, pause_s)
            used = worker.cpu_s(), log.store.cpu_s()
            ended = training.wait(lambda _: None)
            if ended.status or not ended.document():
                raise Missing(f"the training failed: {ended.last_words()}")
            report("emit", **ended.document(), seconds=ended.seconds, cpu_us=ended.cpu_s * 1e6 / points,
                   peak_mib=ended.peak_mib)  # fmt: skip
            asyncio.run(_until_stored(log.store.address, points))
            cpu = [(after - before) * 1e6 / points for after, before in
                   zip((worker.cpu_s(), log.store.cpu_s()), used, strict=True)]  # fmt: skip
            report("fold", seconds=monotonic() - begin, worker_us=cpu[0], postgres_us=cpu[1],
                   peak_mib=peak_mib(_python(worker)))  # fmt: skip
        report("store", **asyncio.run(_questions(log.store.address, series, steps)))
        for tracker in trackers:
            _deliver(log, tracker, folder, report)
        home = folder / "rebuild-home"
        rebuilt = Watched([*COMMAND, "rebuild", "--json"], log.variables(home), home, "rebuild")
        ended = rebuilt.wait(lambda _: None)
        report("rebuild", status=ended.status, seconds=ended.seconds, peak_mib=ended.peak_mib, said=ended.last_words())
    return found


def _training(folder: Path, kafka: str, series: int, steps: int, pause_s: float) -> Watched:
    variables = {"GATEWAY_URL": f"kafka://{kafka}", "GATEWAY_HOME": str(folder / "home"), "GATEWAY_CAPTURE": "none",
                 "GATEWAY_JOURNAL_DIR": str(folder / "journal")}  # fmt: skip
    argv = [sys.executable, "-P", "-c", EMIT, str(series), str(steps), str(pause_s)]
    return Watched(argv, variables, folder / "training", "training")


def _python(worker: Any) -> int:
    return int(worker._pid)


async def _until_stored(dsn: str, points: int) -> None:
    connection = await asyncpg.connect(dsn)
    deadline = monotonic() + DEADLINE_S
    try:
        while (stored := await connection.fetchval("SELECT points FROM runs WHERE run_id = $1", RUN)) != points:
            if monotonic() > deadline:
                raise Missing(f"{stored or 0:,} of {points:,} points are stored, and no more came")
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


async def _questions(dsn: str, series: int, steps: int) -> dict[str, Any]:
    """Return times of what the page asks, ms, and the size of the points."""
    connection, reading = await asyncpg.connect(dsn), await StoreReader.open(dsn)
    try:
        last = f"layer_{(series - 1) // 4}/{('grad', 'weight', 'update', 'norm')[(series - 1) % 4]}"
        assert await connection.fetchval("SELECT count(*) FROM series WHERE run_id = $1", RUN) == series
        value = await connection.fetchval("SELECT last_value FROM series WHERE run_id = $1 AND name = $2", RUN, last)
        assert value == float(series - 1) + (steps - 1) / 8
        bytes_of = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relname LIKE 'chunks_%'"
        return {
            "chart_ms": await _timed(lambda: reading.series(RUN, names=[last], buckets=1_000)),
            "twenty_charts_ms": await _timed(
                lambda: reading.series(RUN, names=[f"layer_{at}/grad" for at in range(20)], buckets=1_000)
            ),
            "rows_of_a_series": await connection.fetchval("SELECT count(*)::float8 / $1 FROM chunks", series),
            "bytes_a_point": int(await connection.fetchval(bytes_of)) / (series * steps),
        }
    finally:
        await connection.close()
        await reading.close()


async def _timed(ask: Callable[[], Any]) -> float:
    times = []
    for _ in range(CALLS):
        begin = perf_counter()
        await ask()
        times.append((perf_counter() - begin) * 1e3)
    return median(times)


def _deliver(log: Log, tracker: str, folder: Path, report: Callable[..., None]) -> None:
    with empty_target(tracker, folder / tracker) if tracker else nullcontext() as target:
        try:
            done = replay(log, target, folder / f"{tracker}-home", lambda _: None)
            proved = verify(log, target, folder / f"{tracker}-home", lambda _: None)
        except Missing as error:
            report(tracker, missing=str(error))
            return
        report(tracker, points_per_s=done.points_per_s, peak_mib=done.peak_mib, parked=done.parked,
               verify=proved.is_equal, verify_s=proved.seconds, verify_peak_mib=proved.peak_mib,
               differences=proved.differences[:2])  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """Return the figures of one run as a table."""
    lines = [f"| {found['series']:,} series x {found['steps']:,} steps | |", "|---|---|"]
    for part, figures in found["parts"].items():
        shown = [f"{name.replace('_', ' ')} {_shown(value)}" for name, value in figures.items()]
        lines.append(f"| {part} | {', '.join(shown)} |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return f"{value:,.3g}" if isinstance(value, float) else str(value)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part.replace("_", "")) for part in text.split(","))


if __name__ == "__main__":
    main()
