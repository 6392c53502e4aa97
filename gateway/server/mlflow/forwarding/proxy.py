"""
Forward one request to MLflow's server and stream its answer back.

The body of a request is read whole before anything is sent, within the bounds of every body: that server would keep one
without an end in its memory, and one that stops arriving would occupy it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import aiohttp
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask
from yarl import URL  # aiohttp's own

from gateway.server.ingest import bodies
from gateway.server.ingest.bodies import Share
from gateway.server.mlflow.errors import Refused
from gateway.server.mlflow.forwarding.headers import to_client, to_server
from gateway.server.mlflow.forwarding.ui_server import NotRunning, UiServer
from schemas.runtime.settings import Settings

CONNECT_S = 5.0
SILENT_S = 120.0  # between two pieces of an answer; the client waits for an answer for 120 s
CHUNK = 65_536  # bytes
REPEATED = (500, 502, 503, 504)  # statuses after which clients try again for minutes


class Proxy:
    """
    The way to MLflow's server: to a URL, or to a child of this process.

    `open` and `close` belong to the loop that serves.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = "" if settings.mlflow_ui == "auto" else settings.mlflow_ui.rstrip("/")
        self._child = None if self._url else UiServer(settings)
        self._session: aiohttp.ClientSession | None = None
        self._name = uuid4().hex  # in Via (RFC 9110, 7.6.3)

    async def close(self) -> None:
        """Close the connections; end the child."""
        if self._session is not None:
            await self._session.close()
        if self._child is not None:
            await self._child.close()

    async def forward(self, request: Request) -> Response:
        """
        Return the server's answer. Raises NotRunning when it cannot be asked or does not answer, Refused, and Failure
        for a body that is too long or does not arrive.
        """
        raw = request.scope["raw_path"].decode("ascii")
        if not raw.startswith("/") or "#" in raw:  # `%2f@host` after the server's name would name another server
            raise Refused("BAD_REQUEST", f"{raw:.100} is no path: it begins with / and has no #")
        if self._name in request.headers.get("via", ""):
            raise NotRunning("GATEWAY_MLFLOW_UI leads back to this door: name a server of MLflow")
        with Share(request.app.state.budget) as share:
            answer = await self._ask(request, raw, await bodies.read(request, share))
        if answer.status in REPEATED and answer.content_type != "application/json":
            # A defect of that server, or a part of it that is off. What may succeed later, its store says in JSON.
            answer.close()
            what = f"MLflow's server answers {answer.status} to {request.method} {request.scope['path']}"
            raise Refused("NOT_IMPLEMENTED", what)
        sent = StreamingResponse(_pieces(answer), answer.status, background=BackgroundTask(answer.release))
        for name, value in to_client(answer.headers.items(), str(answer.url.origin())):
            sent.headers.append(name, value)
        return sent

    async def _ask(self, request: Request, path: str, body: bytes) -> aiohttp.ClientResponse:
        session = await self._connected()
        query = request.scope["query_string"].decode("latin-1")
        target = f"{self._url or 'http://localhost'}{path}" + (f"?{query}" if query else "")
        try:
            return await session.request(
                request.method,
                URL(target, encoded=True),
                headers=[*to_server(request.headers.items()), ("Via", f"1.1 {self._name}")],
                data=body or None,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotRunning(f"MLflow's server does not answer ({error!r:.200})") from error

    async def _connected(self) -> aiohttp.ClientSession:
        path = await self._child.socket() if self._child is not None else ""
        if self._session is None:
            # Without a limit of its own: clients that read slowly would take all connections from the others.
            connector = aiohttp.UnixConnector(path, limit=0) if path else aiohttp.TCPConnector(limit=0)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)
            # Compressed answers stay compressed, and cookies are the client's.
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for chunk in answer.content.iter_chunked(CHUNK):
        yield chunk
