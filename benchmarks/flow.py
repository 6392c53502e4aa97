"""
Follow points from emit in many processes to a query of PostgreSQL that returns them.

A point is queryable once an ordinary query, sent every 20 ms on a connection of its own, has counted it: the row of a
run counts its points in the transaction that stores them. Points of one producer are stored in the order of their
emit, so the n-th time of a run belongs to the n-th point that became visible.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, time_ns
from typing import Any, NamedTuple

import asyncpg

from benchmarks import board as at
from benchmarks.board import Board
from benchmarks.environments import Missing
from benchmarks.figures import percentile
from benchmarks.left_running import LeftRunning
from benchmarks.processes import KEPT
from benchmarks.system import System
from gateway.local.supervision.process import kill_group

PRODUCERS = Path(__file__).with_name("producers.py")
POLL_S = 0.02  # queries share PostgreSQL with the load: if they were more frequent, they would cause the lag
START_TIMEOUT_S, DRAIN_TIMEOUT_S = 90.0, 60.0


class Load(NamedTuple):
    """What the producers emit."""

    name: str  # prefix of the run names, followed by a number
    processes: int
    seconds: float
    rate: float = 0.0  # points/s of all processes together; 0: as fast as points become queryable
    points: int = 2**62  # maximum that a process emits
    window: int = 100_000  # maximum of emitted points of a process that are not queryable yet, at full speed


class Flow(NamedTuple):
    """Observations of a load."""

    points: int  # emitted, all of which became queryable
    dropped: int
    began_ns: int  # first emit
    seen: list[tuple[int, int]]  # time (ns) and number of points of all runs visible then
    by_run: dict[str, list[tuple[int, int]]]
    cpu_us: dict[str, float]  # per point, of each part


class Pace(NamedTuple):
    """Figures of one load."""

    processes: int
    points: int
    points_per_s: float  # that became queryable
    span_s: float  # over which the rate was measured
    lag_ms: tuple[float, float, float, float]  # p50, p95, p99, max
    dropped: int
    cpu_us: dict[str, float]  # per point, of each part


async def measure_pace(
    system: System, wanted: Load, folder: Path, report: Callable[[str], None], *, settle_s: float
) -> Pace:
    """Run a load and return its figures; the rate counts from `settle_s` on. Raises Missing and ValueError."""
    flow = await watch(system, wanted, folder, report)
    speed, span_s = sustained(flow.seen, flow.began_ns, wanted.seconds, settle_s=settle_s)
    lags = await lags_of(system.store, flow)
    p50, p95, p99, most = (percentile(lags, percent) / 1e3 for percent in (50, 95, 99, 100))
    return Pace(wanted.processes, flow.points, speed, span_s, (p50, p95, p99, most), flow.dropped, flow.cpu_us)


async def watch(system: System, load: Load, folder: Path, report: Callable[[str], None]) -> Flow:
    """Run a load until all its points are queryable. Raises Missing when that takes more than DRAIN_TIMEOUT_S."""
    folder.mkdir(parents=True, exist_ok=True)
    board = Board(folder / f"board-{load.name}", load.processes)
    runs = [f"{load.name}-{number}" for number in range(load.processes)]
    connection = await asyncpg.connect(system.store)
    try:
        with _emitting(system, load, folder) as (child, others):
            await _until_ready(board, child, folder / f"{load.name}.log")
            before = system.cpu_s() | others.cpu_s()
            board.set_head(at.START, time_ns() + 200_000_000)
            seen, by_run = await _follow(connection, board, runs, child, load, report)
            after = system.cpu_s() | others.cpu_s()
            await _until_ended(child)
    finally:
        await connection.close()
    if child.returncode:
        raise Missing(f"a producer failed: {_last_line(folder / f'{load.name}.log')}")
    points = sum(board.column(at.EMITTED))
    cpu = {"producers": sum(board.column(at.CPU_US)) / points}
    cpu |= {part: (after[part] - before.get(part, 0.0)) * 1e6 / points for part in after}
    return Flow(points, sum(board.column(at.DROPPED)), min(board.column(at.BEGAN)), seen, by_run, cpu)


@contextmanager
def _emitting(system: System, load: Load, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], LeftRunning]]:
    request = {
        **load._asdict(),
        "rate": load.rate / load.processes,
        "url": f"kafka://{system.kafka}",
        "board": str(folder / f"board-{load.name}"),
        "stagger_ns": int(1e9 / load.rate * 10) if load.rate else 0,  # all start within one interval of a process
    }
    home = {"HOME": str(folder), "GATEWAY_HOME": str(folder / "home"), "GATEWAY_JOURNAL_DIR": str(folder / "journal")}
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    with (folder / f"{load.name}.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-P", str(PRODUCERS), json.dumps(request)],
            env={**kept, **home},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        others = LeftRunning(folder / "home", child.pid)
        try:
            yield child, others
        finally:
            kill_group(child.pid)
            child.wait()
            others.end()


async def _until_ready(board: Board, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + START_TIMEOUT_S
    while not all(board.column(at.READY)):
        if child.poll() is not None:
            raise Missing(f"a producer failed: {_last_line(log)}")
        if monotonic() > deadline:
            raise Missing(f"producers were not ready after {START_TIMEOUT_S:.0f} s")
        await asyncio.sleep(0.05)


async def _follow(
    connection: Any,
    board: Board,
    runs: list[str],
    child: subprocess.Popen[bytes],
    load: Load,
    report: Callable[[str], None],
) -> tuple[list[tuple[int, int]], dict[str, list[tuple[int, int]]]]:
    """Poll until everything emitted is visible; writes the progress to the board and reports it."""
    numbers = {run: number for number, run in enumerate(runs)}
    by_run: dict[str, list[tuple[int, int]]] = {run: [] for run in runs}
    seen: list[tuple[int, int]] = []
    query = await connection.prepare("SELECT run_id, points FROM runs WHERE run_id = ANY ($1::text[])")
    last, begin, reported, total = monotonic(), monotonic(), monotonic(), 0
    while not all(board.column(at.SENT)) or total < sum(board.column(at.SENT)):
        rows = await query.fetch(runs)
        now, visible = time_ns(), 0
        for run, points in rows:
            visible += points
            if not by_run[run] or by_run[run][-1][1] < points:
                by_run[run].append((now, points))
                board.set(numbers[run], at.VISIBLE, points)
        if visible > total:
            total, last = visible, monotonic()
            seen.append((now, total))
        if monotonic() - last > DRAIN_TIMEOUT_S or monotonic() - begin > load.seconds + 2 * DRAIN_TIMEOUT_S:
            board.set_head(at.STOP, 1)
            raise Missing(f"{total:,} of {sum(board.column(at.EMITTED)):,} points were queryable, and no more came")
        if child.poll():
            raise Missing("a producer failed")
        if monotonic() - reported > 5:
            reported = monotonic()
            report(f"  {total:,} points queryable after {reported - begin:.0f} s")
        await asyncio.sleep(POLL_S)
    return seen, by_run


async def _until_ended(child: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + DRAIN_TIMEOUT_S
    while child.poll() is None and monotonic() < deadline:  # noqa: ASYNC110 -- another process, which sets no event
        await asyncio.sleep(0.05)


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it printed nothing"


def sustained(
    seen: Sequence[tuple[int, int]], began_ns: int, seconds: float, *, settle_s: float
) -> tuple[float, float]:
    """Return the points/s that became visible from `settle_s` to `seconds` after the beginning, and that span in s."""
    times = [moment for moment, _ in seen]
    first = max(0, bisect_left(times, began_ns + int(settle_s * 1e9)))
    last = bisect_left(times, began_ns + int(seconds * 1e9)) - 1
    if last <= first:
        raise ValueError("too few points became visible for a rate")
    span_s = (times[last] - times[first]) / 1e9
    return (seen[last][1] - seen[first][1]) / span_s, span_s


def lags_us(times_us: Sequence[int], visible: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield for each point the time from its emit until it was visible, µs; `visible` is (ns, points) of the run."""
    ordered, start = sorted(times_us), 0
    for moment, points in visible:
        for time in ordered[start:points]:
            yield moment // 1_000 - time
        start = points


async def lags_of(dsn: str, flow: Flow) -> list[int]:
    """Return the lag of every point of a load, µs, sorted."""
    connection = await asyncpg.connect(dsn)
    found: list[int] = []
    try:
        for run, visible in flow.by_run.items():
            rows = await connection.fetch(
                "SELECT coalesce(c.times, ARRAY(SELECT c.min_time + d FROM unnest(c.time_deltas) AS d)) AS times "
                "FROM chunks c JOIN series s USING (series_id) WHERE s.run_id = $1 AND NOT s.system",
                run,
            )
            found.extend(lags_us([time for row in rows for time in row["times"]], visible))
    finally:
        await connection.close()
    return sorted(found)
