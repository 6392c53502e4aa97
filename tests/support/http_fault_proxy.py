"""
An HTTP proxy on loopback that injects the faults of servers, and of proxies in front of them, into calls to a server.

    with faulty_proxy(server_port, seed=7) as faults:
        faults.probability = 0.1            # of each call; the kind is random, and repeatable by the seed
        faults.next("lost answer", 2)       # or: in the next two calls
        ... work against faults.url ...
        faults.probability = 0.0
    print(faults.injected)                  # number of faults by kind: Counter({"429": 3, "lost answer": 2, ...})

Faults in EFFECTLESS are answered, or dropped, without the server. Those in EFFECTIVE let the server do the work and
lose or damage its response. `only` selects calls by method and path; `count` is the number of all calls.
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
    """The faults to inject and their counts. All methods may be called from any thread."""

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.probability = 0.0  # that a call gets a fault
        self.kinds: tuple[str, ...] = KINDS  # one of these at random
        self.max_body = 0  # bytes; a larger body gets status 413, as from nginx; 0: no limit
        self.late_s = 3.0  # delay of a late answer, longer than the timeout of the client
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
        """Inject this fault into the next calls that `only` selects."""
        assert kind in KINDS, kind
        with self._lock:
            self._next.extend([kind] * times)

    def choose(self, method: str, path: str) -> str | None:
        """Count this call and return its fault, if any."""
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
        """Serve until `end`."""
        self._server.serve_forever(poll_interval=0.05)

    def end(self) -> None:
        """Stop listening and wait for the calls in progress."""
        self._server.shutdown()
        self._server.end_lines()
        self._server.server_close()


@contextmanager
def faulty_proxy(target_port: int, *, seed: int = 0) -> Iterator[HttpFaults]:
    """Yield a proxy that injects no fault until the test asks for it; end it when the block ends."""
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
            self._lines.add(request)  # type: ignore[arg-type]  # a TCP server passes a socket
        super().process_request(request, client_address)  # type: ignore[arg-type]  # as above

    def shutdown_request(self, request: object) -> None:
        with self._lock:
            self._lines.discard(request)  # type: ignore[arg-type]  # as above
        super().shutdown_request(request)  # type: ignore[arg-type]  # as above

    def end_lines(self) -> None:
        """Wake the threads that wait for another call on a kept-alive connection."""
        with self._lock:
            for line in self._lines:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RD)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that closed their connection."""


class _Call(BaseHTTPRequestHandler):
    """Serves one connection of a client; each call is forwarded or gets a fault."""

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
            return 502, {"Content-Type": "text/html"}, PAGE  # as from a proxy whose server is down
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
        linger = struct.pack("ii", 1, 0)  # so that close sends RST instead of FIN
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""
