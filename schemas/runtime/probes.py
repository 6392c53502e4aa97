"""
The probes of every process, for its operators.

    GET /metrics   its metrics, in Prometheus' text format
    GET /healthz   200 while it is healthy; 503 with the reason if only a restart would help
    GET /readyz    200 while it does its work; 503 with the reason while it waits for something

The answers come from the process's own event loop, so a loop that hangs does not answer, as it should be. Each
connection gets one small answer, over plain HTTP, on loopback unless configured otherwise. On loopback a foreign `Host`
is refused. With GATEWAY_ACCESS=always /metrics needs a token of scope read, and of all experiments.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from schemas.errors import StackError
from schemas.runtime.access.credentials import shown_token
from schemas.runtime.access.needs import need
from schemas.runtime.access.origins import foreign, is_loopback
from schemas.runtime.access.token_file import TokenFile

if TYPE_CHECKING:
    from schemas.runtime.settings import Settings

REQUEST_TIMEOUT_S = 5.0
MAX_HEAD = 8_192  # bytes of the request line and headers
MAX_CONNECTIONS = 32
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REASONS = {
    200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    503: "Service Unavailable",
}  # fmt: skip
_READ = need("read")


class Probes(NamedTuple):
    """What a process reports about itself. A reason is "" if all is well."""

    metrics: Callable[[], bytes]
    unhealthy: Callable[[], str] = lambda: ""
    unready: Callable[[], str] = lambda: ""


@asynccontextmanager
async def serve_probes(settings: Settings, probes: Probes) -> AsyncIterator[None]:
    """Serve the probes at metrics_host and metrics_port during the block. Raises StackError if the port is taken."""
    if settings.metrics_port == 0:
        yield
        return
    tokens = TokenFile(settings.tokens_path, settings.token.get_secret_value()) if settings.access == "always" else None
    responder = _ProbeServer(probes, tokens, is_loopback(settings.metrics_host))
    try:
        server = await asyncio.start_server(
            responder.answer, settings.metrics_host, settings.metrics_port, limit=MAX_HEAD, reuse_address=True
        )
    except OSError as error:
        raise StackError(
            f"cannot listen on {settings.metrics_host}:{settings.metrics_port} ({error}): end the program "
            "that listens there, or correct GATEWAY_METRICS_HOST or GATEWAY_METRICS_PORT"
        ) from error
    try:
        yield
    finally:
        server.close()


class _ProbeServer:
    """Answers one request per connection."""

    def __init__(self, probes: Probes, tokens: TokenFile | None, is_local: bool) -> None:
        self._probes, self._tokens, self._is_local = probes, tokens, is_local
        self._open = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request and answer it. Close connections that are too slow, too long or too many."""
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open -= 1
            with suppress(OSError):
                writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
        if method not in (b"GET", b"HEAD"):
            status, kind, body = 405, "application/json", b'{"ok":false}'
        elif refused := self._refused(path, _headers(head)):
            status, kind, body = refused, "application/json", b'{"ok":false}'
        elif path == "/metrics":
            status, kind, body = 200, METRICS_TYPE, self._probes.metrics()
        elif path in ("/healthz", "/readyz"):
            why = self._probes.unhealthy() or (self._probes.unready() if path == "/readyz" else "")
            status, kind = 503 if why else 200, "application/json"
            body = json.dumps({"ok": not why, **({"why": why} if why else {})}).encode()
        else:
            status, kind, body = 404, "application/json", b'{"ok":false}'
        first = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        head = f"{first}Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode()
        return head if method == b"HEAD" else head + body

    def _refused(self, path: str, headers: dict[str, str]) -> int:
        """Return the status of a request that is refused, 0 for any other."""
        if self._is_local and foreign(headers, "GET", ()):
            return 403
        if self._tokens is None or path != "/metrics":
            return 0
        who, _ = self._tokens.find(shown_token(headers.get("authorization", "")))
        if who is None:
            return 401
        return 0 if who.may(_READ.scopes) and who.experiments is None else 403


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
