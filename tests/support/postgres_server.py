"""A PostgreSQL server for one test that kills it."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from gateway.local.ports import free_ports
from gateway.local.servers import postgres
from gateway.local.supervision.process import end, spawn, wait_until
from tests.support.server_data import prepare_postgres
from tests.support.services import START_TIMEOUT_S


class PostgresServer:
    """A server that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        (self.port,) = free_ports(1)

    @property
    def dsn(self) -> str:
        """Its address, with the role of an administrator."""
        return postgres.dsn(self._folder, self.port)

    def start(self) -> None:
        self.begin()
        assert self._child is not None
        assert wait_until(self.answers, self._child, START_TIMEOUT_S), (self._folder / "postgres.log").read_text()

    def begin(self) -> None:
        """Start without waiting until it serves."""
        command = prepare_postgres(self._folder, port=self.port)
        with (self._folder / "postgres.log").open("ab") as log:
            self._child = spawn(command, log, death_signal=signal.SIGQUIT)

    def answers(self) -> bool:
        """Return whether it serves now."""
        return postgres.accepts(self.port)

    def kill(self) -> None:
        """End it at once, without a checkpoint; it recovers from its write-ahead log at the next start."""
        if self._child is not None:
            end(self._child, timeout_s=10, stop_signal=signal.SIGQUIT)
