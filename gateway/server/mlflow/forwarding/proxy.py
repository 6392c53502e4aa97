"""
Forward one request to MLflow's server and stream its answer back; neither body is held here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect
from yarl import URL  # aiohttp's own

from gateway.server.mlflow.forwarding.headers import to_client, to_server
from gateway.server.mlflow.forwarding.ui_server import NotRunning, UiServer
from schemas.runtime.settings import Settings

CONNECT_S = 5.0
SILENT_S = 120.0  # between two pieces of an answer; the client waits for an answer for 120 s
CHUNK = 65_536  # bytes


class Proxy:
    """
    The way to MLflow's server: to a URL, or to a child of this process.

    `open` and `close` belong to the loop that serves.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = "" if settings.mlflow_ui == "auto" else settings.mlflow_ui.rstrip("/")
        self._child = None if self._url else UiServer(settings)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; end the child."""
        if self._session is not None:
            await self._session.close()
        if self._child is not None:
            await self._child.close()

    async def forward(self, request: Request) -> Response:
        """Return the server's answer. Raises NotRunning when it cannot be asked or does not answer."""
        session = await self._connected()
        target = (self._url or "http://localhost") + request.scope["raw_path"].decode("ascii")
        query = request.scope["query_string"].decode("latin-1")
        url = URL(f"{target}?{query}" if query else target, encoded=True)
        is_empty = request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers
        try:
            answer = await session.request(
                request.method,
                url,
                headers=to_server(request.headers.items()),
                data=None if is_empty else _body(request),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, ClientDisconnect):
                return Response(status_code=400)  # the client is gone
            raise NotRunning(f"MLflow's server does not answer ({error!r:.200})") from error
        sent = StreamingResponse(_pieces(answer), answer.status, background=BackgroundTask(answer.release))
        for name, value in to_client(answer.headers.items()):
            sent.headers.append(name, value)
        return sent

    async def _connected(self) -> aiohttp.ClientSession:
        path = await self._child.socket() if self._child is not None else ""
        if self._session is None:
            connector = aiohttp.UnixConnector(path) if path else aiohttp.TCPConnector()
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


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for chunk in answer.content.iter_chunked(CHUNK):
        yield chunk
