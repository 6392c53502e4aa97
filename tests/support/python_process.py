"""
Python programs as processes of their own whose imports are paid once.

A test that starts `python -m consumers.delivery` a dozen times would spend most of its time on imports: aiokafka,
asyncpg, pydantic and the tracker's library take 0.3 to 2 s of a core in each process. So each test process has one
server (fork_server.py) that imports them once and forks. A fork gets its own arguments, environment, folder, output
and signal handlers, runs the module as `__main__` and ends as any interpreter does; it is killed, stopped and waited
for by its pid. What a new interpreter does differently is tested with new interpreters: the stack and the wheel.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal

from gateway.local.servers import mlflow_server

SERVER = Path(__file__).with_name("fork_server.py")
ROOT = Path(__file__).parents[2]
NUMBER = struct.Struct("<i")  # a pid, then an exit status, on the pipe of each process
START_TIMEOUT_S = 150.0  # of the server: its imports take 3 s on a quiet machine
# Imported when a command line has the word: each takes a second that most tests do not need.
IMPORTS = {
    "mlflow": "consumers.trackers.mlflow.tracker",
    "parquet": "consumers.trackers.parquet.tracker",
    "tensorboard": "consumers.trackers.tensorboard.tracker",
    "wandb": "consumers.trackers.wandb.tracker",
    "consumers.live": "consumers.live.app",
    "gateway.server": "gateway.server.serve",
    mlflow_server.APPLICATION: mlflow_server.APPLICATION.partition(":")[0],
}


class PythonProcess:
    """
    A program that was started, with the methods of `subprocess.Popen` that tests use.

    `command` is `[sys.executable, "-m", module, ...]`, `[..., "-c", code, ...]` or `[..., file, ...]`. With
    `subprocess.PIPE` the output is kept until `communicate` returns it as text.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        stdout: IO[bytes] | int = subprocess.PIPE,
        stderr: IO[bytes] | int = subprocess.PIPE,
        cwd: Path | None = None,
    ) -> None:
        assert command[0] == sys.executable, command
        self.args = list(command)
        self.returncode: int | Any = None  # None while it runs, as in subprocess.Popen
        self._lock = threading.Lock()
        self._said = ["", ""]
        self._kept = [os.memfd_create("output") if one == subprocess.PIPE else None for one in (stdout, stderr)]
        outputs = [given if kept is None else kept for kept, given in zip(self._kept, (stdout, stderr), strict=True)]
        request = {
            "argv": self.args[1:],
            "env": dict(env),
            "cwd": str(cwd or Path.cwd()),
            "imports": [module for word, module in IMPORTS.items() if word in self.args],
        }
        self._pipe, writer = os.pipe()
        try:
            files = [writer, *(one if isinstance(one, int) else one.fileno() for one in outputs)]
            socket.send_fds(_server(), [json.dumps(request).encode()], files)
        finally:
            os.close(writer)
        self.pid = self._read(START_TIMEOUT_S)

    def poll(self) -> int | None:
        """Return the exit status, a signal's number negated, or None while it runs."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once it ended. Raises `subprocess.TimeoutExpired`."""
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return status

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it wrote to stdout and stderr, once it ended. Raises `subprocess.TimeoutExpired`."""
        self.wait(timeout)
        found = self.said(0), self.said(1)
        for number, kept in enumerate(self._kept):
            if kept is not None:
                self._said[number] = found[number]
                self._kept[number] = None
                os.close(kept)
        return found

    def said(self, output: Literal[0, 1]) -> str:
        """Return what it has written so far to stdout (0) or stderr (1)."""
        kept = self._kept[output]
        if kept is None:
            return self._said[output]
        # Not `read`, which would move the offset of the fork.
        return os.pread(kept, os.fstat(kept).st_size, 0).decode(errors="replace")

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _status(self, timeout_s: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._pipe], [], [], timeout_s)[0]:
                self.returncode = self._read(0)
                os.close(self._pipe)
            return self.returncode

    def _read(self, timeout_s: float) -> int:
        ready, _, _ = select.select([self._pipe], [], [], timeout_s)
        data = os.read(self._pipe, NUMBER.size) if ready else b""
        assert len(data) == NUMBER.size, f"the fork server {'ended' if ready else 'does not answer'}: {self.args}"
        return int(NUMBER.unpack(data)[0])


_lock = threading.Lock()
_started: list[tuple[socket.socket, subprocess.Popen[bytes]]] = []


def _server() -> socket.socket:
    """Return the connection to the server of this process, which starts with the first request."""
    with _lock:
        if not _started:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            # Not PYTHONPATH either: that of the test which comes first would be in every later program.
            given = (one for one in os.environ.items() if not one[0].startswith(("GATEWAY_", "PYTHONPATH")))
            environment = dict(given)
            process = subprocess.Popen(
                [sys.executable, str(SERVER), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
            )
            theirs.close()
            _started.append((ours, process))
        return _started[0][0]


def end_server() -> None:
    """End the server of this process, if it was started: it stops when its connection is closed."""
    with _lock:
        for connection, process in _started:
            connection.close()
            process.wait()
        _started.clear()
