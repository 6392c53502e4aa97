"""
The MLflow door with everything behind it, and a stock MLflow server, both on one PostgreSQL server.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.environments import Missing
from benchmarks.services import START_TIMEOUT_S, Server, running_kafka
from benchmarks.system import ROOT, create_database, running_materialiser, running_postgres
from gateway.local.command import Command
from gateway.local.ports import HOST, free_ports
from gateway.local.supervision.process import end, spawn, wait_until


class Side:
    """One of the two: the address that clients use, the process that answers them, and the parts behind it."""

    def __init__(self, name: str, server: Server, behind: list[Server], dsn: str, kafka: str = "") -> None:
        self.name, self.address, self.dsn, self.kafka = name, server.address, dsn, kafka
        self._server, self._behind = server, behind

    def cpu_s(self) -> tuple[float, float]:
        """Return the processor time of the server, and that of it and the parts behind it, s."""
        mine = self._server.cpu_s()
        return mine, mine + sum(part.cpu_s() for part in self._behind)


@contextmanager
def both_sides(folder: Path) -> Iterator[tuple[Side, Side]]:
    """Yield the door and the stock server. Raises Missing."""
    if importlib.util.find_spec("mlflow.server") is None or importlib.util.find_spec("psycopg2") is None:
        raise Missing("a stock server on PostgreSQL needs: pip install mlflow==3.17.2 psycopg2-binary")
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres(folder / "postgres"))
        dsn = asyncio.run(create_database(postgres.address, "stock"))
        stock = stack.enter_context(running_stock(folder / "stock", dsn))
        door, behind = stack.enter_context(running_door(folder, postgres.address))
        ours = Side("door", door, [*behind, postgres], postgres.address, behind[0].address)
        yield ours, Side("stock", stock, [postgres], dsn)


@contextmanager
def running_door(folder: Path, dsn: str) -> Iterator[tuple[Server, list[Server]]]:
    """Yield a door and what is behind it: Kafka, a materialiser and the query API."""
    with ExitStack() as stack:
        kafka = stack.enter_context(running_kafka(folder / "kafka", own=True))
        worker = stack.enter_context(running_materialiser(folder / "materialiser", kafka.address, dsn))
        live_port, door_port = free_ports(2)
        variables = {
            "GATEWAY_KAFKA": kafka.address, "GATEWAY_POSTGRES": dsn, "GATEWAY_HOME": str(folder),
            "GATEWAY_LIVE_PORT": str(live_port), "GATEWAY_LIVE_URL": f"http://{HOST}:{live_port}",
            "GATEWAY_MLFLOW_DOOR_PORT": str(door_port), "GATEWAY_ARTIFACTS": (folder / "artifacts").as_uri(),
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        argv = [sys.executable, "-P", "-m"]
        api = stack.enter_context(_running([*argv, "consumers.live"], live_port, "/healthz", variables, folder / "api"))
        door = _running([*argv, "gateway.server.mlflow"], door_port, "/health", variables, folder / "door")
        yield stack.enter_context(door), [kafka, worker, api]


@contextmanager
def running_stock(folder: Path, dsn: str) -> Iterator[Server]:
    """Yield a stock MLflow server with its default number of workers."""
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port)]
    argv += ["--backend-store-uri", dsn.replace("://", "+psycopg2://", 1), "--artifacts-destination", "./artifacts"]
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with _running(argv, port, "/health", variables, folder) as server:
        yield server


@contextmanager
def _running(argv: list[str], port: int, path: str, variables: dict[str, str], folder: Path) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / "output.txt"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "MLFLOW_"))}
    with output.open("ab") as log:
        child = spawn(Command(argv, {}, folder=folder), log, environment={**inherited, **variables})
        try:
            if not wait_until(lambda: _serves(f"http://{HOST}:{port}{path}"), child, START_TIMEOUT_S):
                lines = output.read_text(encoding="utf-8", errors="replace").strip().split("\n")
                raise Missing(f"{' '.join(argv[1:4])} did not start: {lines[-1][:200]}")
            yield Server(f"{HOST}:{port}", child.pid)
        finally:
            end(child, timeout_s=10)


def _serves(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
