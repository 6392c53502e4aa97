"""
The servers that some tools send to, started on loopback for one benchmark and stopped after it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from benchmarks.environments import Missing
from consumers.log.topics import ensure_topics
from gateway.local.command import Command
from gateway.local.ports import HOST, free_ports
from gateway.local.servers import kafka
from gateway.local.supervision.process import end, spawn, wait_until
from schemas.errors import LogUnavailable
from schemas.runtime.settings import Settings

START_TIMEOUT_S = 90


class Server:
    """A running server: its address, and the CPU time it has used."""

    def __init__(self, address: str, pid: int) -> None:
        self.address = address
        self._pid = pid

    def cpu_s(self) -> float:
        """Return the user and system time of the server and its children, seconds; 0 if we did not start it."""
        if not self._pid:
            return 0.0
        process = psutil.Process(self._pid)
        children = 0.0
        for child in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ended since it was listed
                children += _total_s(child)
        return children + _total_s(process)  # the parent last: children that have ended count for it


def _total_s(process: psutil.Process) -> float:
    """Return the time of a process and of its children that have ended, such as a connection of PostgreSQL, seconds."""
    used = process.cpu_times()
    return used.user + used.system + used.children_user + used.children_system


@contextmanager
def running_kafka(folder: Path, *, own: bool = False) -> Iterator[Server]:
    """Yield a broker with the log's topics: the one in GATEWAY_URL, or a new one (always a new one with `own`)."""
    given = "" if own else os.environ.get("GATEWAY_URL", "")
    if given.startswith("kafka://"):
        yield Server(given.removeprefix("kafka://"), 0)
        return
    port, controller_port = free_ports(2)
    address = f"{HOST}:{port}"
    command = kafka.prepare(folder, port=port, controller_port=controller_port)
    with (folder / "kafka.log").open("ab") as log:
        child = spawn(command, log)
        try:
            if not wait_until(lambda: _answers(address), child, START_TIMEOUT_S):
                raise Missing(f"Kafka did not start within {START_TIMEOUT_S} s")
            asyncio.run(ensure_topics(Settings(kafka=address, home=folder)))
            yield Server(address, child.pid)
        finally:
            end(child, timeout_s=10)


def _answers(address: str) -> bool:
    try:
        kafka.probe(address)
    except LogUnavailable:
        return False
    return True


@contextmanager
def running_mlflow(folder: Path, python: Path) -> Iterator[Server]:
    """Yield an MLflow server of the peer's own release, on SQLite."""
    folder.mkdir(parents=True, exist_ok=True)
    (port,) = free_ports(1)
    address = f"{HOST}:{port}"
    store = ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "./artifacts"]
    argv = [str(python), "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1", *store]
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "mlflow.log").open("ab") as log:
        child = spawn(Command(argv, variables, folder=folder), log)
        try:
            if not wait_until(lambda: _serves(address), child, START_TIMEOUT_S):
                raise Missing(f"`mlflow server` did not start within {START_TIMEOUT_S} s")
            yield Server(address, child.pid)
        finally:
            end(child, timeout_s=10)


def _serves(address: str) -> bool:
    try:
        with urlopen(f"http://{address}/api/2.0/mlflow/experiments/search?max_results=1", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
