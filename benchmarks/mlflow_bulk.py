"""
Points a second that a delivery hands to MLflow: a server's API, MLflow's store, and its database in bulk.

    python benchmarks/mlflow_bulk.py                # three rounds, each with new databases, 5 minutes
    python benchmarks/mlflow_bulk.py --quick        # one short round
    python benchmarks/mlflow_bulk.py --write-docs

The tracker decodes and delivers the history of benchmarks/history.py with eight threads, a run a thread, as a delivery
does; without Kafka, checkpoints and the start of a process, which benchmarks/trackers.py measures. `store` is what a
database got before it was written in bulk: `log_batch` of MLflow's store, 1,000 rows a call. Each way reads its points
back at the end, and their number must be right.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, process_time
from typing import Any, NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from mlflow.entities import Metric as MetricEntity  # noqa: E402
from mlflow.entities import Param, RunTag  # noqa: E402

from benchmarks.environments import Missing  # noqa: E402
from benchmarks.history import Shape, records  # noqa: E402
from benchmarks.machine import caption, describe, load  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.table import markdown, number, ratio, replaced  # noqa: E402
from benchmarks.targets import empty_target  # noqa: E402
from consumers.delivery.dispatch.dispatcher import CALL_RECORDS  # noqa: E402
from consumers.trackers.mlflow import tracker as tracker_module  # noqa: E402
from consumers.trackers.mlflow.address import open_backend  # noqa: E402
from consumers.trackers.mlflow.backend import Backend  # noqa: E402
from consumers.trackers.mlflow.database.backend import DatabaseBackend  # noqa: E402
from consumers.trackers.mlflow.metrics import Metric  # noqa: E402
from consumers.trackers.mlflow.requests import Call, split_calls  # noqa: E402
from consumers.trackers.mlflow.tracker import MlflowTracker  # noqa: E402
from schemas.runtime.settings import Settings  # noqa: E402
from schemas.wire import EncodedRecord, decode_run  # noqa: E402

DOCS = ROOT / "docs/benchmarks.md"
THREADS = 8  # of a delivery
ROUNDS = 3
HEAD = ("way", "points", "points/s", "× server", "CPU µs/point (+ server)", "read points/s")


class Way(NamedTuple):
    """A way into MLflow: the target of benchmarks/targets.py, and how many runs of 10,000 points it gets."""

    name: str
    target: str
    runs: int
    by_store: bool = False


WAYS = (
    Way("server (REST API), SQLite", "mlflow", 5),
    Way("SQLite by MLflow's store", "mlflow-sqlite", 5, by_store=True),
    Way("SQLite in bulk", "mlflow-sqlite", 100),
    Way("PostgreSQL by MLflow's store", "mlflow-postgresql", 5, by_store=True),
    Way("PostgreSQL in bulk", "mlflow-postgresql", 100),
)


class Measured(NamedTuple):
    """One way in one round."""

    points: int
    seconds: float
    cpu_s: float  # of this process: the delivery, and SQLite
    server_cpu_s: float
    read_s: float


class StoreBackend(DatabaseBackend):
    """A database written as before: by `log_batch` of MLflow's store."""

    def split(self, metrics: Sequence[Metric], params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[Call]:
        return split_calls(metrics, params, tags)

    def log_batch(self, run: str, call: Call) -> None:
        metrics = [MetricEntity(key, value, ms, step) for key, value, ms, step in call.metrics]
        params = [Param(*one) for one in call.params.items()]
        tags = [RunTag(*one) for one in call.tags.items()]
        with self.database.changing():
            self.database.store().log_batch(run, metrics, params, tags)


def main() -> None:
    """Measure every way in each round, and print a table."""
    asked = _options().parse_args()
    began, before = monotonic(), load()
    found: dict[str, list[Measured]] = {way.name: [] for way in WAYS}
    with scratch() as name:
        for number_of_round in range(1 if asked.quick else ROUNDS):
            for way in WAYS:
                runs = max(1, way.runs // 10) if asked.quick else way.runs
                one = _measure(way, Shape(runs), Path(name) / f"{way.target}-{number_of_round}-{way.by_store}")
                found[way.name].append(one)
                print(f"{way.name}: {one.points / one.seconds:,.0f} points/s", file=sys.stderr, flush=True)
    facts = describe(_command(), (), (before, load()), monotonic() - began)
    content = f"{_table(found)}\n\n{caption(facts)}"
    print(content)
    if asked.write_docs:
        DOCS.write_text(replaced(DOCS.read_text(encoding="utf-8"), "mlflow-bulk", content), encoding="utf-8")


def _measure(way: Way, shape: Shape, folder: Path) -> Measured:
    by_run: dict[bytes, list[EncodedRecord]] = {}
    for record in records(shape):
        by_run.setdefault(record.key, []).append(record)
    with empty_target(way.target, folder) as target, patch.object(tracker_module, "open_backend", _opener(way)):
        tracker = MlflowTracker(url=target.url)
        tracker.open(Settings())
        _deliver(tracker, next(iter(by_run.values()))[:1], "warm-up")  # makes the tables, and imports MLflow's store
        gc.collect()
        gc.freeze()  # as a replay does with what it has loaded; here the history too
        began, cpu, server = monotonic(), process_time(), target.cpu_s()
        with ThreadPoolExecutor(THREADS) as threads:
            states = dict(threads.map(lambda mine: _deliver(tracker, mine), by_run.values()))
        seconds, used = monotonic() - began, process_time() - cpu
        served = target.cpu_s() - server
        began = monotonic()
        read = (tracker.read_back(run_id, state).columns or () for run_id, state in states.items())
        points = sum(len(some.steps) for columns in read for some in columns)
        read_s = monotonic() - began
        tracker.close()
    gc.unfreeze()
    if points != shape.all_points - shape.odd_runs:  # two equal points of an odd run are one row
        raise Missing(f"{way.name}: {points:,} points of {shape.all_points:,} are there")
    return Measured(points, seconds, used, served, read_s)


def _deliver(tracker: MlflowTracker, mine: Sequence[EncodedRecord], run_id: str = "") -> tuple[str, Mapping[str, Any]]:
    """Deliver the records of a run in calls as large as the delivery makes them; return the run and its state."""
    state: Mapping[str, Any] = {}
    first = 0
    while first < len(mine):
        size, end = len(mine[first].value), first + 1
        while end < len(mine) and end - first < CALL_RECORDS and size + len(mine[end].value) <= tracker.call_bytes:
            size, end = size + len(mine[end].value), end + 1
        envelopes = [decode_run(one.key, one.value, one.headers) for one in mine[first:end]]
        state = tracker.deliver(run_id or envelopes[0].run_id, envelopes, state)
        first = end
    return run_id or str(envelopes[0].run_id), state


def _opener(way: Way) -> Callable[[str, float], Backend]:
    def opened(url: str, timeout_s: float) -> Backend:
        found = open_backend(url, timeout_s)
        return StoreBackend(found.database) if way.by_store and isinstance(found, DatabaseBackend) else found

    return opened


def _table(found: Mapping[str, Sequence[Measured]]) -> str:
    def median(name: str, value: Callable[[Measured], float]) -> float:
        return statistics.median(map(value, found[name]))

    server = median(WAYS[0].name, lambda one: one.points / one.seconds)
    rows = []
    for way in WAYS:
        speed = median(way.name, lambda one: one.points / one.seconds)
        cpu = [median(way.name, value) for value in (_cpu_us, _server_us)]
        rows.append(
            (
                way.name,
                f"{found[way.name][0].points:,}",
                number(speed),
                ratio(speed, server),
                " + ".join(number(part) for part in cpu if part),
                number(median(way.name, lambda one: one.points / one.read_s)),
            )
        )
    return markdown(HEAD, rows)


def _cpu_us(one: Measured) -> float:
    return one.cpu_s / one.points * 1e6


def _server_us(one: Measured) -> float:
    return one.server_cpu_s / one.points * 1e6


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare the ways into MLflow.")
    parser.add_argument("--quick", action="store_true", help="one round of a tenth: to see that everything works")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/benchmarks.md")
    return parser


def _command() -> str:
    return " ".join(["python", "benchmarks/mlflow_bulk.py", *(word for word in sys.argv[1:] if word != "--write-docs")])


if __name__ == "__main__":
    main()
