"""
All parts of the system on loopback for one benchmark: Kafka, PostgreSQL and a materialiser, each a real process.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg

from benchmarks.environments import Missing
from benchmarks.services import START_TIMEOUT_S, Server, running_kafka
from gateway.local.command import Command
from gateway.local.ports import free_ports
from gateway.local.servers import postgres
from gateway.local.supervision.process import end, spawn, wait_until

ROOT = Path(__file__).parents[1]
TOPIC = "tracking.events"


class System:
    """The running parts, by name, and the folder of the log."""

    def __init__(self, kafka: Server, store: Server, materialiser: Server, log_folder: Path) -> None:
        self.kafka, self.store = kafka.address, store.address
        self._parts = {"broker": kafka, "PostgreSQL": store, "materialiser": materialiser}
        self._log_folder = log_folder

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU time that each part has used, seconds."""
        return {name: part.cpu_s() for name, part in self._parts.items()}

    def log_bytes(self) -> int:
        """Return the bytes of the log on the broker's disk, without indexes, which are preallocated."""
        return sum(path.stat().st_size for path in self._log_folder.rglob(f"{TOPIC}-*/*.log"))


@contextmanager
def running_system(folder: Path) -> Iterator[System]:
    """Yield a system of our own, even if GATEWAY_URL is set; stopped with the block. Raises Missing and StackError."""
    with ExitStack() as stack:
        kafka = stack.enter_context(running_kafka(folder / "kafka", own=True))
        store = stack.enter_context(running_postgres(folder / "postgres"))
        worker = stack.enter_context(running_materialiser(folder / "materialiser", kafka.address, store.address))
        yield System(kafka, store, worker, folder / "kafka")


@contextmanager
def running_postgres(folder: Path) -> Iterator[Server]:
    """Yield a PostgreSQL with the settings of the embedded stack; its address is a DSN."""
    (port,) = free_ports(1)
    command = postgres.prepare(folder, port=port)
    with (folder / "postgres.log").open("ab") as log:
        child = spawn(command, log, death_signal=signal.SIGQUIT)
        try:
            if not wait_until(lambda: postgres.accepts(port), child, START_TIMEOUT_S):
                raise Missing(f"PostgreSQL did not start within {START_TIMEOUT_S} s")
            yield Server(postgres.dsn(folder, port), child.pid)
        finally:
            end(child, timeout_s=10, stop_signal=signal.SIGINT)


@contextmanager
def running_materialiser(folder: Path, kafka: str, dsn: str, topic: str = TOPIC) -> Iterator[Server]:
    """Yield a materialiser that has begun to read the log."""
    folder.mkdir(parents=True, exist_ok=True)
    ready, output = folder / "ready", folder / "materialiser.log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    mine = {"KAFKA": kafka, "TOPIC": topic, "POSTGRES": dsn, "READY_FILE": str(ready), "HOME": str(folder)}
    variables = {**inherited, **{f"GATEWAY_{name}": value for name, value in mine.items()}, "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-P", "-m", "consumers.materialiser"]
    with output.open("ab") as log:
        child = spawn(Command(argv, {}, folder=folder), log, environment=variables)
        try:
            if not wait_until(ready.exists, child, START_TIMEOUT_S):
                lines = output.read_text(encoding="utf-8", errors="replace").split("\n")[-2:]
                raise Missing(f"the materialiser did not start: {' '.join(lines).strip()[-200:]}")
            yield Server("", child.pid)
        finally:
            end(child, timeout_s=10)


async def create_database(dsn: str, name: str) -> str:
    """Create an empty database on the server of `dsn` and return its DSN."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return f"{dsn.rpartition('/')[0]}/{name}"
