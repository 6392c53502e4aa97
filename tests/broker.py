"""A broker of its own, for tests that kill it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gateway.local import kafka as broker_files
from gateway.local.ports import HOST, free_ports
from gateway.local.process import kill_group, spawn, wait_until
from tests import stack_parts


class Broker:
    """A broker that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports(2)
        self._child: subprocess.Popen[bytes] | None = None
        self.address = f"{HOST}:{self._ports[0]}"

    def start(self) -> None:
        command = broker_files.prepare(self._folder, port=self._ports[0], controller_port=self._ports[1])
        with (self._folder / "kafka.log").open("ab") as log:
            self._child = spawn(command, log)
        assert wait_until(lambda: stack_parts.answers(self.address), self._child, 60)

    def kill(self) -> None:
        if self._child is not None:
            kill_group(self._child.pid)
            self._child.wait()
