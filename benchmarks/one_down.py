"""
Measure the lag of deliveries under a steady live load while all trackers work, and while one of them is away.

Deliveries to Parquet, TensorBoard and MLflow run, each in a process of its own. Records of some trainings arrive at a
steady rate. The lag of a record is the time from its acknowledgement by Kafka until the checkpoint of its run in
PostgreSQL has passed it: the tracker has it, and that is recorded. Then MLflow's server is killed under the same load.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from benchmarks.environments import Missing
from benchmarks.figures import percentile
from benchmarks.filled_log import Log, running_log
from benchmarks.finished_runs import STEPS_A_BATCH, Shape, Training
from benchmarks.system import TOPIC, running_materialiser
from benchmarks.targets import Target, empty_target
from benchmarks.watched import Watched

NAMES = ("parquet", "tensorboard", "mlflow")
AWAY = "mlflow"
PLAIN = range(13, 23)  # trainings that are not odd
SERIES = 50
POLL_S = 0.02
SETTLE_S = 3.0  # at the beginning of a part, not counted
START_TIMEOUT_S, DRAIN_S = 60.0, 120.0
_POSITIONS = "SELECT run_id, next_offset FROM deliveries WHERE tracker = $1"

Sent = dict[str, list[tuple[int, float]]]  # by run: offset and time of the acknowledgement


def measure_down(folder: Path, seconds: float, rate: float, report: Callable[[str], None]) -> dict[str, Any]:
    """Return the lags of both parts by tracker, ms, and the time that the tracker that was away took to catch up."""
    with ExitStack() as stack:
        log = stack.enter_context(running_log(folder / "log"))
        stack.enter_context(running_materialiser(folder / "materialiser", log.kafka.address, log.store.address))
        targets = {name: stack.enter_context(empty_target(name, folder / name)) for name in NAMES}
        for target in targets.values():
            stack.enter_context(_delivering(log, target, folder / f"{target.name}-home"))
        return asyncio.run(_Live(log, targets, rate, report).measure(seconds))


class _Live:
    """The load, and the lags observed under it."""

    def __init__(self, log: Log, targets: dict[str, Target], rate: float, report: Callable[[str], None]) -> None:
        self._log, self._targets, self._rate, self._report = log, targets, rate, report
        shape = Shape(runs=1, series=SERIES, points=10**9)
        self._records = cycle([Training(shape, number).records() for number in PLAIN])
        self._sent: Sent = {}
        self._lags: dict[str, list[float]] = {}
        self._passed: dict[tuple[str, str], int] = {}  # by tracker and run: how many records were seen delivered

    async def measure(self, seconds: float) -> dict[str, Any]:
        """Run both parts."""
        connections = {name: await asyncpg.connect(self._log.store.address) for name in NAMES}
        producer = AIOKafkaProducer(bootstrap_servers=self._log.kafka.address, enable_idempotence=True)
        await producer.start()
        load = asyncio.create_task(self._load(producer))
        watching = [asyncio.create_task(self._watch(name, one)) for name, one in connections.items()]
        server = self._targets[AWAY].server
        assert server is not None
        try:
            well = await self._part("all trackers work", NAMES, seconds)
            server.kill()
            away = await self._part(f"{AWAY} is away", [name for name in NAMES if name != AWAY], seconds)
            server.launch()
            began = monotonic()
            load.cancel()
            await self._drained()
            caught_up = monotonic() - began
            self._report(f"{AWAY} has everything {caught_up:.1f} s after its server was started again")
        finally:
            for task in (load, *watching):
                task.cancel()
            await asyncio.gather(load, *watching, return_exceptions=True)
            await producer.stop()
            for connection in connections.values():
                await connection.close()
        parts = {name: {"well": well[name], "away": away.get(name)} for name in NAMES}
        return {"trackers": parts, "points_per_s": self._rate, "seconds": seconds, "caught_up_s": caught_up}

    async def _part(self, what: str, names: Any, seconds: float) -> dict[str, dict[str, float]]:
        self._report(f"{what}: {self._rate:,.0f} points/s for {seconds:.0f} s")
        await asyncio.sleep(SETTLE_S)
        self._lags = {name: [] for name in NAMES}
        await asyncio.sleep(seconds)
        found = {}
        for name in names:
            lags = sorted(self._lags[name])
            if not lags:
                raise Missing(f"{name} delivered nothing within {seconds:.0f} s")
            found[name] = {"p50": percentile(lags, 50), "p99": percentile(lags, 99), "records": len(lags)}
            self._report(f"{what}: {name}: lag p50 {found[name]['p50']:.0f} ms, p99 {found[name]['p99']:.0f} ms")
        return found

    async def _load(self, producer: AIOKafkaProducer) -> None:
        interval = STEPS_A_BATCH * SERIES / self._rate
        due = monotonic()
        for records in self._records:
            record = next(records)
            due += interval
            await asyncio.sleep(max(0.0, due - monotonic()))
            sent = await producer.send(TOPIC, key=record.key, value=record.value, headers=list(record.headers))
            sent.add_done_callback(partial(self._acknowledged, record.key.decode()))

    def _acknowledged(self, run_id: str, done: asyncio.Future[Any]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._sent.setdefault(run_id, []).append((done.result().offset, monotonic()))

    async def _watch(self, name: str, connection: Any) -> None:
        while True:
            rows = await connection.fetch(_POSITIONS, name)
            now = monotonic()
            for row in rows:
                key = (name, row["run_id"])
                sent, at = self._sent.get(row["run_id"], []), self._passed.get(key, 0)
                while at < len(sent) and sent[at][0] < row["next_offset"]:
                    self._lags.setdefault(name, []).append((now - sent[at][1]) * 1e3)
                    at += 1
                self._passed[key] = at
            await asyncio.sleep(POLL_S)

    async def _drained(self) -> None:
        deadline = monotonic() + DRAIN_S
        while any(self._passed.get((name, run), 0) < len(sent) for name in NAMES for run, sent in self._sent.items()):
            if monotonic() > deadline:
                raise Missing(f"{AWAY} has not caught up {DRAIN_S:.0f} s after its server was started again")
            await asyncio.sleep(POLL_S)


@contextmanager
def _delivering(log: Log, target: Target, folder: Path) -> Iterator[None]:
    """Run a live delivery that reads the log, until the end of the block."""
    ready = folder / "ready"
    argv = [sys.executable, "-P", "-m", "consumers.delivery", target.name]
    settings = {**log.variables(folder), **target.variables(), "GATEWAY_READY_FILE": str(ready)}
    running = Watched(argv, settings, folder, f"delivery-{target.name}")
    try:
        running.until(ready.exists, START_TIMEOUT_S)
        yield
    finally:
        running.kill()
