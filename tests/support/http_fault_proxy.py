"""
An HTTP proxy on loopback that spoils calls to a real server in the ways that servers and what stands before them do.

    with faulty_proxy(server_port, seed=7) as faults:
        faults.probability = 0.1            # of every call, a kind by chance; the same seed, the same dice
        faults.next("lost answer", 2)       # or: the next two calls
        ... work against faults.url ...
        faults.probability = 0.0
    print(faults.injected)                  # how many of which kind: Counter({"429": 3, "lost answer": 2, ...})

Kinds in EFFECTLESS answer (or not) without the server; those in EFFECTIVE let the server do the work and lose or spoil
its answer. `only` says which calls are spoiled, by method and path; `count` how many calls went through in all.
"""

from __future__ import annotations

import http.client
import random
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from gateway.local.ports import HOST

PAGE = b"<!doctype html><html><body><h1>Bad gateway</h1></body></html>"
RETRY_AFTER_S = 1
EFFECTLESS = {
    "429": (429, {"Retry-After": str(RETRY_AFTER_S)}, b"slow down"),
    "429 date": (429, {"Retry-After": "date"}, b"slow down"),
    "503": (503, {"Retry-After": str(RETRY_AFTER_S)}, b""),
    "403": (403, {"Content-Type": "text/html"}, PAGE),
    "500": (500, {}, b'{"error_code": "INTERNAL_ERROR", "message": "injected"}'),
    "502 page": (502, {"Content-Type": "text/html"}, PAGE),
    "200 page": (200, {"Content-Type": "text/html"}, PAGE),
    "garbage": (200, {"Content-Type": "application/json"}, b'{"run": {"info"'),
    "reset": None,
}  # fmt: skip
EFFECTIVE = ("500 after", "lost answer", "cut answer", "garbage after", "late answer")
KINDS = (*EFFECTLESS, *EFFECTIVE)
_BETWEEN_HOPS = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


class HttpFaults:
    """The proxy's orders and counts. Threads of calls read them; all methods may be called from any thread."""

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.probability = 0.0  # that a call is spoiled
        self.kinds: tuple[str, ...] = KINDS  # by chance one of these
        self.max_body = 0  # bytes; a larger one is answered with 413, as nginx does; 0: any
        self.late_s = 3.0  # how long a late answer takes; longer than the client waits
        self.only: Callable[[str, str], bool] = lambda method, path: True
        self.hide: Callable[[str, str, bytes], bytes | None] = lambda method, path, answer: None
        self.injected: Counter[str] = Counter()
        self.count = 0
        self._dice = random.Random(seed)
        self._next: deque[str] = deque()
        self._lock = Lock()
        self._server = _Server((HOST, 0), type("Call", (_Call,), {"faults": self, "target_port": target_port}))
        self.port = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"

    def next(self, kind: str, times: int = 1) -> None:
        """Spoil the next calls that `only` lets through, in this way."""
        assert kind in KINDS, kind
        with self._lock:
            self._next.extend([kind] * times)

    def choose(self, method: str, path: str) -> str | None:
        """Return how this call is spoiled, and count it."""
        with self._lock:
            self.count += 1
            if not self.only(method, path):
                return None
            kind = None
            if self._next:
                kind = self._next.popleft()
            elif self.probability and self._dice.random() < self.probability:
                kind = self._dice.choice(self.kinds)
            if kind is not None:
                self.injected[kind] += 1
            return kind

    def serve(self) -> None:
        """Answer until `end`."""
        self._server.serve_forever(poll_interval=0.05)

    def end(self) -> None:
        """Stop listening and wait for the calls under way."""
        self._server.shutdown()
        self._server.end_lines()
        self._server.server_close()


@contextmanager
def faulty_proxy(target_port: int, *, seed: int = 0) -> Iterator[HttpFaults]:
    """Give a proxy that spoils nothing until it is told to, and end it."""
    faults = HttpFaults(target_port, seed=seed)
    thread = Thread(target=faults.serve, name=f"http-faults-{faults.port}")
    thread.start()
    try:
        yield faults
    finally:
        faults.end()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._lines: set[socket.socket] = set()
        self._lock = Lock()

    def process_request(self, request: object, client_address: object) -> None:
        with self._lock:
            self._lines.add(request)  # type: ignore[arg-type]  # of a TCP server it is a socket
        super().process_request(request, client_address)  # type: ignore[arg-type]  # as above

    def shutdown_request(self, request: object) -> None:
        with self._lock:
            self._lines.discard(request)  # type: ignore[arg-type]  # as above
        super().shutdown_request(request)  # type: ignore[arg-type]  # as above

    def end_lines(self) -> None:
        """Wake the threads that wait for another call on a connection that is kept."""
        with self._lock:
            for line in self._lines:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RD)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Call(BaseHTTPRequestHandler):
    """One connection of a client: call after call, each forwarded or spoiled."""

    faults: HttpFaults
    target_port: int
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _call(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if 0 < self.faults.max_body < len(body):
            self._answer(413, {"Content-Type": "text/html"}, PAGE)
            return
        kind = self.faults.choose(self.command, self.path)
        if kind in EFFECTLESS:
            self._spoil(kind)
            return
        status, headers, answer = self._forward(body)
        hidden = self.faults.hide(self.command, self.path, answer)
        answer = answer if hidden is None else hidden
        match kind:
            case "lost answer":
                self._reset()
            case "late answer":
                time.sleep(self.faults.late_s)
                self._reset()
            case "500 after":
                self._answer(500, {}, b'{"error_code": "INTERNAL_ERROR", "message": "injected after the effect"}')
            case "garbage after":
                self._answer(200, {"Content-Type": "application/json"}, b"\x00\xff not JSON")
            case "cut answer":
                self._answer(status, headers, answer, sent=len(answer) // 2)
                self._reset()
            case _:
                self._answer(status, headers, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _call

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        line = http.client.HTTPConnection(HOST, self.target_port, timeout=60)
        headers = {name: text for name, text in self.headers.items() if name.lower() not in _BETWEEN_HOPS}
        try:
            line.request(self.command, self.path, body=body, headers=headers)
            answer = line.getresponse()
            found = {name: text for name, text in answer.getheaders() if name.lower() not in _BETWEEN_HOPS}
            return answer.status, found, answer.read()
        except (OSError, http.client.HTTPException):
            return 502, {"Content-Type": "text/html"}, PAGE  # as a proxy says that its server is away
        finally:
            line.close()

    def _spoil(self, kind: str) -> None:
        made = EFFECTLESS[kind]
        if made is None:
            self._reset()
            return
        status, headers, answer = made
        if headers.get("Retry-After") == "date":
            headers = {"Retry-After": formatdate(time.time() + RETRY_AFTER_S + 1, usegmt=True)}
        self._answer(status, headers, answer)

    def _answer(self, status: int, headers: dict[str, str], answer: bytes, sent: int | None = None) -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer[:sent])
        self.wfile.flush()

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # closing then sends RST instead of FIN
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
