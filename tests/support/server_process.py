"""A real ingest server as a process, for tests that kill it, delay it and count its records."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.client.encoding.wire import Record, source_of
from gateway.client.encoding.wire import encode as encode_record
from gateway.local.ports import HOST, free_ports
from tests.support.process_tree import DEADLINE_S, until
from tests.support.python_process import PythonProcess

TIME = 1_700_000_000_000_000  # µs


class Server:
    """A server process, its port and its log file. It keeps its port when it is started again."""

    module, port_setting = "gateway.server", "GATEWAY_INGEST_PORT"

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://{HOST}:{self.port}"
        self._log = folder / f"{self.module}-{uuid.uuid4().hex[:8]}.log"
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
        }
        mine = {self.port_setting: str(self.port), "GATEWAY_HOME": str(folder / "no-stack")}
        self._variables = inherited | mine | dict(variables)
        self.process: PythonProcess | None = None

    def start(self) -> Server:
        """Start it and return at once; it may not serve yet."""
        with self._log.open("ab") as out:
            self.process = PythonProcess(
                [sys.executable, "-m", self.module], env=self._variables, stdout=out, stderr=out
            )
        return self

    def until(self, path: str = "/readyz", status: int = 200) -> Server:
        """Return when it answers with this status."""
        until(lambda: self._answers(path) == status, f"{path} answers {status}: {self.text()}")
        return self

    def _answers(self, path: str) -> int:
        assert self.process is not None
        assert self.process.poll() is None, self.text()
        try:
            return request(self.port, "GET", path)[0]
        except OSError:
            return 0

    def text(self) -> str:
        """Return its log."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal and return the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(150)


@contextmanager
def serving(folder: Path, kafka: str, topic: str, **settings: str) -> Iterator[Server]:
    """Yield a server that writes to Kafka; kill it when the block ends."""
    named = {"kafka": kafka, "topic": topic, **settings}
    server = Server(folder, {f"GATEWAY_{name.upper()}": value for name, value in named.items()})
    try:
        yield server.start().until()
    finally:
        server.end()


def request(
    port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    """Send a request and return status, headers and body of the response."""
    connection = http.client.HTTPConnection(HOST, port, timeout=DEADLINE_S)
    try:
        usual = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, body, {**usual, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def note(run_id: str, seq: int, text: str = "hello") -> Record:
    """Return a small record as the client builds it."""
    source = source_of(run_id, "p1")
    return encode_record(run_id, source, seq, TIME + seq, {"kind": "note", "time": TIME + seq, "text": text})


def plain(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return records in the form of a request body, before the JSON encoding."""
    return [
        {"key": r.key.decode(), "headers": {n: v.decode() for n, v in r.headers}, "value": r.value.decode()}
        for r in records
    ]
