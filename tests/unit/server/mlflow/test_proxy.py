"""Requests that pass the door on the way to MLflow's server: where they go, and what never leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI

from gateway.local.ports import HOST
from gateway.server.ingest.bodies import MAX_BODY, Budget
from gateway.server.mlflow import errors
from gateway.server.mlflow.forwarding import catch_all
from gateway.server.mlflow.forwarding.proxy import Proxy
from schemas.runtime.settings import Settings


class Upstream:
    """A web server that keeps the head and the body of what it gets, and answers each with a redirect within itself."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.url, self.status, self.kind = "", "308 Moved", "text/html"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
        self.got.append(head + (await reader.readexactly(length)).decode())
        answer = f"HTTP/1.1 {self.status}\r\nContent-Type: {self.kind}\r\nLocation: {self.url}/there\r\n"
        writer.write(f"{answer}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


class Door(NamedTuple):
    """The catch-all route of a door, in front of a server."""

    app: FastAPI
    upstream: Upstream

    async def ask(
        self, raw_path: str, pieces: Iterable[bytes] = (b"",), *, method: str = "POST", via: str = "", ends: bool = True
    ) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the answer; without `ends` the body never does."""
        sent: list[dict[str, Any]] = []
        arriving = [{"type": "http.request", "body": one, "more_body": True} for one in pieces]
        arriving += [{"type": "http.request", "body": b"", "more_body": False}] if ends else []

        async def receive() -> dict[str, Any]:
            return arriving.pop(0) if arriving else await asyncio.get_running_loop().create_future()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": method, "path": "/x", "raw_path": raw_path.encode(), "query_string": b"a=1",
            "headers": [(b"via", via.encode())] if via else [],
        }  # fmt: skip
        await self.app(scope, receive, send)
        return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    """Yield a door in front of a server."""
    upstream = Upstream()
    async with await asyncio.start_server(upstream.serve, HOST, 0) as server:
        upstream.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        app, proxy = FastAPI(), Proxy(Settings(mlflow_ui=upstream.url))
        app.state.budget = Budget(2 * MAX_BODY)
        errors.install(app)
        catch_all.install(app, proxy)
        try:
            yield Door(app, upstream)
        finally:
            await proxy.close()


async def test_a_redirect_stays_within_the_door() -> None:
    async with opened() as door:
        status, headers = await door.ask("/x", [b'{"a":', b" 1}"])

        assert (status, headers["location"]) == (308, "/there")
        (got,) = door.upstream.got
        assert got.startswith("post /x?a=1 http/1.1\r\n")
        assert got.endswith('\r\n\r\n{"a": 1}')


async def test_no_path_leads_to_another_server() -> None:
    async with opened() as named, opened() as other:
        host = other.upstream.url.partition("//")[2]
        for path in (f"%2f@{host}/x", f"%2F:x@{host}/", f"http://{host}/x", "/x#y"):
            assert (await named.ask(path))[0] == 400, path
        assert (named.upstream.got, other.upstream.got) == ([], [])


async def test_a_request_that_comes_back_is_not_forwarded_again() -> None:
    async with opened() as door, opened() as behind:
        await door.ask("/x", via="1.1 somebody")
        name = door.upstream.got[0].rpartition("via: ")[2].partition("\r\n")[0]

        assert (await door.ask("/x", via=f"1.1 somebody, {name}"))[0] == 501
        assert (await behind.ask("/x", via=name))[0] == 308, "another door may be behind it"


async def test_a_body_that_has_no_end_or_does_not_arrive_occupies_nobody() -> None:
    async with opened() as door:
        assert (await door.ask("/x", (bytes(1_000_000) for _ in range(9))))[0] == 413
        waiting = [asyncio.create_task(door.ask("/x", [b"1"], ends=False)) for _ in range(200)]
        try:
            assert (await door.ask("/x"))[0] == 308
            assert len(door.upstream.got) == 1
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        ("500 Internal Server Error", "text/html", 501),
        ("503 Service Unavailable", "text/plain", 501),
        ("503 Service Unavailable", "application/json", 503),
        ("404 Not Found", "text/html", 404),
    ],
)
async def test_what_a_client_would_repeat_for_minutes_in_vain_is_not_implemented(
    status: str, kind: str, expected: int
) -> None:
    async with opened() as door:
        door.upstream.status, door.upstream.kind = status, kind
        assert (await door.ask("/x"))[0] == expected
