"""
The MLflow door and a stock MLflow server, in one run on one PostgreSQL server.

    python benchmarks/mlflow_door.py --quick     # a smoke test
    python benchmarks/mlflow_door.py             # everything

Both get the same requests over the same number of connections, one side at a time. docs/benchmarks.md explains each
figure. What a side refuses is listed with its answer, and the rest continues.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic, perf_counter, time
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from benchmarks.door_fill import fill_history, fill_runs  # noqa: E402
from benchmarks.door_servers import Side, both_sides  # noqa: E402
from benchmarks.door_tables import Row, door_figures, door_table  # noqa: E402
from benchmarks.figures import percentile  # noqa: E402
from benchmarks.history.keeping import add_keep, keep  # noqa: E402
from benchmarks.http_load import Connection, Load, loaded  # noqa: E402
from benchmarks.machine import caption, command_of, describe, load  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.table import replaced  # noqa: E402

DOCS = ROOT / "docs/benchmarks.md"
API = "/api/2.0/mlflow"
BATCH = 1_000  # metrics of one log-batch: MLflow's limit
PAGE = 25_000  # points of a page, as MLflow's client asks for them
CLIENT = """
import sys, time
from mlflow import MlflowClient
client, run_id, seconds, calls = MlflowClient(sys.argv[1]), sys.argv[2], float(sys.argv[3]), 0
client.log_metric(run_id, "warm", 0.0)
end = (began := time.perf_counter()) + seconds
while time.perf_counter() < end:
    client.log_metric(run_id, "loss", 1.0, step=calls)
    calls += 1
print(calls / (time.perf_counter() - began))
"""


class Plan(NamedTuple):
    """Sizes of a run."""

    seconds: float  # of each load
    reads: int  # of each question
    runs: int  # in the search
    points: int  # of one metric


FULL = Plan(seconds=8.0, reads=40, runs=100_000, points=1_000_000)
QUICK = Plan(seconds=1.0, reads=5, runs=1_000, points=20_000)


def main() -> None:
    """Measure and print; write docs/benchmarks.md with --write-docs."""
    parser = argparse.ArgumentParser(description="Compare the MLflow door with a stock MLflow server.")
    parser.add_argument("--quick", action="store_true", help="small sizes, as a smoke test")
    parser.add_argument("--write-docs", action="store_true", help="write the tables into docs/benchmarks.md")
    add_keep(parser)
    asked = parser.parse_args()
    before, began = load(), monotonic()
    with scratch() as name, both_sides(Path(name)) as sides:
        rows = [asyncio.run(Measuring(side, QUICK if asked.quick else FULL).everything()) for side in sides]
    command = command_of("python benchmarks/mlflow_door.py", sys.argv[1:])
    facts = describe(command, (), (before, load()), monotonic() - began)
    content = f"{door_table(*rows)}\n\n{caption(facts)}"
    print(content)
    if asked.write_docs:
        DOCS.write_text(replaced(DOCS.read_text(encoding="utf-8"), "mlflow-door", content), encoding="utf-8")
    keep(asked.keep, facts, door_figures(*rows))


class Measuring:
    """Measures one side."""

    def __init__(self, side: Side, plan: Plan) -> None:
        self._side, self._plan = side, plan
        self._rows: list[Row] = []

    async def everything(self) -> list[Row]:
        """Return all figures; a question that the side refuses has none."""
        for measure in (self.writes, self.client, self.latency, self.history, self.search):
            try:
                await measure()
            except (RuntimeError, OSError, EOFError, subprocess.SubprocessError) as error:
                print(f"{self._side.name}: {measure.__name__}: {error!r:.500}", file=sys.stderr)
        return self._rows

    async def writes(self) -> None:
        """Log metrics one at a time and in batches."""
        for clients in (1, 8, 32):
            runs = [await self._run() for _ in range(clients)]
            self._calls(f"log_metric, {clients} clients, a run each", await self._load(map(metrics, runs)))
        run = await self._run()
        self._calls("log_metric, 32 writers of one run", await self._load(metrics(run, f"m{n}") for n in range(32)))
        for clients in (1, 4):
            runs = [await self._run() for _ in range(clients)]
            (found, _, _) = await self._load(map(batches, runs))
            self._add(f"log_batch of {BATCH:,}, {clients} clients", "points/s", found.per_s * BATCH, is_rate=True)

    async def client(self) -> None:
        """Log with MLflow's own client, which is slower than the door."""
        argv = [sys.executable, "-c", CLIENT, f"http://{self._side.address}", await self._run()]
        argv.append(str(self._plan.seconds))
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=True)
        self._add("log_metric by MLflow's client", "calls/s", float(done.stdout.split()[-1]), is_rate=True)

    async def latency(self) -> None:
        """Write a point and read the history that has it, again and again."""
        run, connection = await self._run(), self._connect()
        times = []
        for step, (path, body) in zip(range(self._plan.reads * 3), metrics(run), strict=False):
            await asyncio.sleep(0.05)  # idle, as a training between two epochs
            began = perf_counter()
            await connection.ask("POST", path, body)
            found = await connection.ask("GET", f"{API}/metrics/get-history?run_id={run}&metric_key=loss")
            times.append((perf_counter() - began) * 1_000)
            if len(found["metrics"]) != step + 1:
                raise RuntimeError(f"the answer lacks what was written: {len(found['metrics'])} of {step + 1} points")
        self._times("write, then read", times)

    async def history(self) -> None:
        """Read a long history in pages and sampled."""
        run, connection = await self._run(), self._connect()
        await fill_history(self._side, connection, run, self._plan.points)
        base = f"{API}/metrics/get-history?run_id={run}&metric_key=long&max_results={PAGE}"
        began, seen, token = perf_counter(), 0, ""
        while True:
            page = await connection.ask("GET", base + token)
            seen += len(page["metrics"])
            if not page.get("next_page_token"):
                break
            token = f"&page_token={page['next_page_token']}"
        if seen != self._plan.points:
            raise RuntimeError(f"the history has {seen:,} points of {self._plan.points:,}")
        self._add(f"history of {seen:,} points, all pages", "s", perf_counter() - began)
        await self._ask(f"first page of {PAGE:,}", lambda: connection.ask("GET", base))
        sampled = f"{API}/metrics/get-history-bulk-interval?run_ids={run}&metric_key=long&max_results=2500"
        await self._ask("2,500 points of them for a chart", lambda: connection.ask("GET", sampled))

    async def search(self) -> None:
        """Search among many runs."""
        connection = self._connect()
        made = await connection.ask("POST", f"{API}/experiments/create", {"name": f"search-{time()}"})
        experiment = made["experiment_id"]
        await fill_runs(self._side, connection, experiment, self._plan.runs)
        body = {"experiment_ids": [experiment], "max_results": 100}
        one = {**body, "filter": "metrics.acc > 0.999 and params.lr = '3'", "order_by": ["metrics.acc DESC"]}
        for what, asked in (("newest 100", body), ("by metric and param", one)):
            question = connection.request("POST", f"{API}/runs/search", asked)
            await self._ask(f"search among {self._plan.runs:,} runs: {what}", partial(connection.send, question))

    async def _load(self, works: Any) -> tuple[Load, float, float]:
        """Return what clients did, and the processor time of a call: of the server, and of all parts, ms."""
        before = self._side.cpu_s()
        found = await loaded(self._connect, list(works), self._plan.seconds)
        after = self._side.cpu_s()
        server, everything = ((after[n] - before[n]) * 1_000 / found.calls for n in (0, 1))
        return found, server, everything

    def _calls(self, what: str, measured: tuple[Load, float, float]) -> None:
        found, server, everything = measured
        self._add(what, "calls/s", found.per_s, is_rate=True)
        self._add(what, "p50 ms", percentile(found.times_ms, 50))
        self._add(what, "p99 ms", percentile(found.times_ms, 99))
        self._add(what, "server CPU ms a call", server)
        self._add(what, "CPU ms a call, all parts", everything)

    async def _ask(self, what: str, ask: Callable[[], Awaitable[Any]]) -> None:
        times = []
        for _ in range(max(3, self._plan.reads // 4)):
            began = perf_counter()
            await ask()
            times.append((perf_counter() - began) * 1_000)
        self._times(what, times)

    def _times(self, what: str, times: list[float]) -> None:
        self._add(what, "p50 ms", percentile(sorted(times), 50))
        self._add(what, "p99 ms", percentile(sorted(times), 99))

    def _add(self, what: str, unit: str, value: float, *, is_rate: bool = False) -> None:
        self._rows.append(Row(what, unit, value, is_rate))
        print(f"{self._side.name}: {what}: {value:,.3f} {unit}", file=sys.stderr, flush=True)

    def _connect(self) -> Connection:
        return Connection(self._side.address)

    async def _run(self) -> str:
        connection = self._connect()
        made = await connection.ask("POST", f"{API}/runs/create", {"experiment_id": "0", "start_time": now_ms()})
        connection.close()
        return str(made["run"]["info"]["run_id"])


def metrics(run: str, key: str = "loss") -> Iterator[tuple[str, Any]]:
    """Yield calls that each log one new point."""
    for step in count():
        yield (
            f"{API}/runs/log-metric",
            {"run_id": run, "key": key, "value": 1 / (step + 1), "timestamp": now_ms(), "step": step},
        )


def batches(run: str) -> Iterator[tuple[str, Any]]:
    """Yield calls that each log BATCH new points of ten metrics."""
    for first in count(step=BATCH // 10):
        points = [
            {"key": f"m{n % 10}", "value": n / 7, "timestamp": now_ms(), "step": first + n // 10} for n in range(BATCH)
        ]
        yield f"{API}/runs/log-batch", {"run_id": run, "metrics": points}


def now_ms() -> int:
    """Return the time, ms."""
    return int(time() * 1_000)


if __name__ == "__main__":
    main()
