"""
Many runs and long histories for both sides of mlflow_door.py, written the fastest way that each has.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Iterator
from hashlib import md5
from time import time

import asyncpg

from benchmarks.door_servers import Side
from benchmarks.http_load import Connection
from gateway.client.encoding.wire import Record
from gateway.server.log_writer import LogWriter
from schemas import events as ev
from schemas.runtime.settings import Settings
from schemas.values import StringValue
from schemas.wire import Envelope, ProducerId, RunId, encode

BATCH = 1_000
RUNS_AT_ONCE = 500
HISTORY = """
    INSERT INTO metrics (key, value, timestamp, step, run_uuid, is_nan)
    SELECT 'long', sin(n), $2::bigint + n, n, $1, false FROM generate_series(0, $3::int - 1) AS n
"""
RUNS = """
    INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,
                      source_version, lifecycle_stage, artifact_uri, experiment_id, deleted_time)
    SELECT md5('search' || n), 'run ' || n, 'UNKNOWN', '', '', 'me', 'FINISHED', $2::bigint + n,
           '', 'active', '', $1, NULL
    FROM generate_series(0, $3::int - 1) AS n
"""
PARTS = (
    "INSERT INTO params (key, value, run_uuid) SELECT 'lr', (n % 10)::text, md5('search' || n) "
    "FROM generate_series(0, $1::int - 1) AS n",
    "INSERT INTO tags (key, value, run_uuid) SELECT 'mlflow.runName', 'run ' || n, md5('search' || n) "
    "FROM generate_series(0, $1::int - 1) AS n",
    "INSERT INTO metrics (key, value, timestamp, step, run_uuid, is_nan) "
    "SELECT 'acc', n::float8 / $1::int, 1, 1, md5('search' || n), false FROM generate_series(0, $1::int - 1) AS n",
    "INSERT INTO latest_metrics (key, value, timestamp, step, run_uuid, is_nan) "
    "SELECT 'acc', n::float8 / $1::int, 1, 1, md5('search' || n), false FROM generate_series(0, $1::int - 1) AS n",
    "ANALYZE",
)


async def fill_history(side: Side, connection: Connection, run: str, points: int) -> None:
    """Give a run `points` points of the metric `long`."""
    began = int(time() * 1_000) - points
    if side.name == "stock":
        store = await asyncpg.connect(side.dsn)
        await store.execute(HISTORY, run, began, points)
        await store.execute("ANALYZE metrics")
        await store.close()
        return
    for first in range(0, points, BATCH):
        some = [{"key": "long", "value": n / 7, "timestamp": began + n, "step": n} for n in range(first, first + BATCH)]
        await connection.ask("POST", "/api/2.0/mlflow/runs/log-batch", {"run_id": run, "metrics": some})
    await connection.ask("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=long&max_results=1")


async def fill_runs(side: Side, connection: Connection, experiment: str, runs: int) -> None:
    """Give an experiment `runs` finished runs with a metric, a param and a tag."""
    began = int(time() * 1_000) - runs
    if side.kafka:
        await _write_runs(side.kafka, experiment, runs, began)
        await connection.ask("POST", "/api/2.0/mlflow/runs/search", {"experiment_ids": [experiment], "max_results": 1})
        return
    store = await asyncpg.connect(side.dsn)
    await store.execute(RUNS, int(experiment), began, runs)
    for statement in PARTS:
        await store.execute(statement, *([runs] if "$1" in statement else []))
    await store.close()


async def _write_runs(kafka: str, experiment: str, runs: int, began_ms: int) -> None:
    writer = LogWriter(Settings(kafka=kafka))
    writing = asyncio.create_task(writer.run())
    while writer.problem:  # noqa: ASYNC110 - only at the start
        await asyncio.sleep(0.05)
    for first in range(0, runs, RUNS_AT_ONCE):
        numbers = range(first, min(first + RUNS_AT_ONCE, runs))
        await writer.write([record for n in numbers for record in _run(experiment, n, runs, began_ms + n)])
    writing.cancel()


def _run(experiment: str, number: int, runs: int, began_ms: int) -> Iterator[Record]:
    run_id, at = md5(b"search%d" % number, usedforsecurity=False).hexdigest(), began_ms * 1_000
    acc = ev.Series(name="acc", steps=array("q", [1]), times=array("q", [at]), values=array("d", [number / runs]))
    facts: list[ev.AnyEvent] = [
        ev.RunStarted(time=at, name=f"run {number}", experiment_id=experiment, heartbeats=False),
        ev.Params(time=at, params={"lr": StringValue(value=str(number % 10))}),
        ev.Metrics(time=at, series=[acc]),
        ev.RunFinished(time=at),
    ]
    for seq, event in enumerate(facts):
        one = encode(Envelope(RunId(run_id), ProducerId("fill"), seq, at, event))
        yield Record(one.key, one.value, tuple(one.headers), at)
