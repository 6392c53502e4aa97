"""The HTTP of servers that write to the log: a client that offers another protocol loses no byte of its body."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response

from gateway.local.ports import HOST
from gateway.server.serve import Protocol

BODY = b"hello\r\nUpgrade: yes\r\n"
OFFER = b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\n%s: h2c\r\nHTTP2-Settings: AAE\r\n"


async def answer_to(sent: bytes) -> bytes:
    """Return what a server that sends bodies back answers."""
    app = FastAPI()

    @app.put("/")
    async def back(request: Request) -> Response:
        return Response(await request.body())

    config = uvicorn.Config(app, http=Protocol, ws="none", log_config=None, log_level="error", lifespan="off")
    config.load()
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: Protocol(config, state, {}), HOST, 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            writer.write(sent)
            return await reader.read()
        finally:
            writer.close()


@pytest.mark.parametrize("name", [b"Upgrade", b"upgrade"])
async def test_an_offer_of_another_protocol_is_ignored(name: bytes) -> None:
    answer = await answer_to(OFFER % name + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n" + BODY)


async def test_an_offer_that_is_not_ignored_is_refused() -> None:
    answer = await answer_to(OFFER % b"UPGRADE" + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)

    assert answer.startswith(b"HTTP/1.1 400 ")
