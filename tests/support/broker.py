"""A Kafka broker for one test that kills it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gateway.local.ports import HOST, free_ports
from gateway.local.supervision.process import kill_group, spawn, wait_until
from tests.support import services
from tests.support.server_data import prepare_kafka


class Broker:
    """
    A broker that can be killed and started again at the same address.

    Its second listener, on `far_port`, directs clients to `advertised_port`, the port of a proxy.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports(3)
        self._child: subprocess.Popen[bytes] | None = None
        self.address = f"{HOST}:{self._ports[0]}"
        self.far_port = self._ports[2]
        self.advertised_port = 0

    def start(self) -> None:
        self.begin()
        assert self._child is not None
        ready = wait_until(lambda: services.answers(self.address), self._child, services.START_TIMEOUT_S)
        assert ready, (self._child.poll(), (self._folder / "kafka.log").read_text()[-8_000:])

    def begin(self) -> None:
        """Start without waiting until it serves."""
        command = prepare_kafka(self._folder, port=self._ports[0], controller_port=self._ports[1])
        if self.advertised_port:
            self._add_listener()
        with (self._folder / "kafka.log").open("ab") as log:
            self._child = spawn(command, log)

    def kill(self) -> None:
        if self._child is not None:
            kill_group(self._child.pid)
            self._child.wait()

    def _add_listener(self) -> None:
        path = self._folder / "server.properties"
        lines = path.read_text(encoding="ascii").splitlines()
        found = dict(line.split("=", 1) for line in lines)
        found["listeners"] += f",FAR://{HOST}:{self.far_port}"
        found["advertised.listeners"] += f",FAR://{HOST}:{self.advertised_port}"
        found["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,FAR:PLAINTEXT,CONTROLLER:PLAINTEXT"
        found["inter.broker.listener.name"] = "PLAINTEXT"
        path.write_text("".join(f"{name}={value}\n" for name, value in found.items()), encoding="ascii")
