"""
An HTTP server on loopback that stands before another one and spoils requests as it is told to.

What is done to a request is one of FAULTS. Everything else is carried, both ways, unchanged.
"""

from __future__ import annotations

import http.client
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

from gateway.local.ports import HOST, free_ports

FAULTS = (
    "500",  # refused before it has an effect
    "500 after the effect",
    "timeout after the effect",  # carried, and never answered
    "cut after the effect",  # carried, and the connection closed instead of an answer
    "429 with Retry-After",
)
RETRY_AFTER_S = 1
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class SpoiledHttp:
    """Carries requests to a port; `spoil` says what becomes of the next ones. Requests come in several threads."""

    def __init__(self, target_port: int) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://{HOST}:{self.port}"
        self.spoiled: Counter[str] = Counter()  # faults by kind, as they happened
        self.target_port = target_port
        self.closing = Event()
        self._orders: deque[str] = deque()
        self._lock = Lock()

    def spoil(self, fault: str, count: int = 1) -> None:
        """The next `count` requests that write get this fault."""
        with self._lock:
            self._orders.extend([fault] * count)

    def heal(self) -> None:
        """Forget orders that no request has met yet."""
        with self._lock:
            self._orders.clear()

    def take(self, method: str) -> str:
        """Return the fault of a request; "" for none."""
        with self._lock:
            if method == "GET" or not self._orders:
                return ""
            fault = self._orders.popleft()
            self.spoiled[fault] += 1
            return fault


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or went away: what the faults are for."""


@contextmanager
def spoiled_http(target_port: int) -> Iterator[SpoiledHttp]:
    """Give a server before that of `target_port`, and end it."""
    spoiled = SpoiledHttp(target_port)

    class Handler(_Handler):
        place = spoiled

    server = _Quiet((HOST, spoiled.port), Handler)
    thread = Thread(target=server.serve_forever, name=f"spoiled-{spoiled.port}", kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield spoiled
    finally:
        spoiled.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    place: SpoiledHttp

    def handle_one_request(self) -> None:
        with suppress(OSError):  # the client is gone
            super().handle_one_request()
            return
        self.close_connection = True

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        fault = self.place.take(self.command)
        if fault == "500":
            self._answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "spoiled"}', {})
            return
        if fault == "429 with Retry-After":
            said = b'{"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "spoiled"}'
            self._answer(429, said, {"Retry-After": str(RETRY_AFTER_S)})
            return
        status, headers, content = self._carry(body)
        if fault == "timeout after the effect":
            self.place.closing.wait(60.0)  # longer than any client here waits
        if fault in ("timeout after the effect", "cut after the effect"):
            self.close_connection = True
        elif fault == "500 after the effect":
            self._answer(500, b'{"error_code": "INTERNAL_ERROR", "message": "spoiled"}', {})
        else:
            self._answer(status, content, headers)

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

    def _carry(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(HOST, self.place.target_port, timeout=120)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except (OSError, http.client.HTTPException):
            return 503, {}, b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "the server is away"}'
        finally:
            connection.close()

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _HOP and name.lower() not in ("date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # the name of the overridden one
        """Say nothing."""
