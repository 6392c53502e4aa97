"""A real MLflow server for tests: its own SQLite and folder, stopped and started again at will."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.local import mlflow_server
from gateway.local.ports import HOST, free_ports
from gateway.local.process import end, spawn, wait_until

START_TIMEOUT_S = 60


class MlflowServer:
    """One server with one address for its whole life, running or not."""

    def __init__(self, folder: Path) -> None:
        (self._port,) = free_ports(1)
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        self.url = f"http://{HOST}:{self._port}"

    def start(self) -> None:
        command = mlflow_server.prepare(self._folder, port=self._port)
        with (self._folder / "mlflow.log").open("ab") as log:
            self._child = spawn(command, log)
        ready = wait_until(lambda: mlflow_server.serves(HOST, self._port), self._child, START_TIMEOUT_S)
        assert ready, (self._folder / "mlflow.log").read_text()

    def stop(self) -> None:
        if self._child is not None:
            end(self._child, timeout_s=5)
            self._child = None


@contextmanager
def running_mlflow(folder: Path) -> Iterator[MlflowServer]:
    """Give a server that runs until the end of the block."""
    server = MlflowServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
