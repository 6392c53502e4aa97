"""
Load on an HTTP server: as many connections as clients, each with one request under way.

A client that builds requests from objects costs more than a fast server does to answer them. This one writes bytes
that are ready and looks only at the status and the length of an answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import perf_counter
from typing import Any, NamedTuple

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TIMEOUT_S = 120.0


class Load(NamedTuple):
    """What clients have done."""

    calls: int
    seconds: float
    times_ms: list[float]  # of each call, sorted

    @property
    def per_s(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


class Connection:
    """A connection that is kept alive."""

    def __init__(self, address: str, prefix: str = "") -> None:
        self._host, self._port = address.split(":")
        self._address, self._prefix = address, prefix
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """Return the bytes of a request; `body` becomes JSON."""
        text = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        kind = "" if body is None else f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n"
        return f"{method} {self._prefix}{path} HTTP/1.1\r\nHost: {self._address}\r\n{kind}\r\n".encode() + text

    async def send(self, request: bytes) -> bytes:
        """Return the body of the answer. Raises RuntimeError for another status than 200."""
        if self._streams is None or self._streams[0].at_eof():  # a server closes a connection that is idle
            self._streams = await asyncio.open_connection(self._host, int(self._port), limit=2**26)
        reader, writer = self._streams
        writer.write(request)
        async with asyncio.timeout(TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n")
            found = LENGTH.search(head)
            body = await (reader.readexactly(int(found[1])) if found else _chunks(reader))
        if b" 200 " not in head[:16]:
            raise RuntimeError(f"{head[:40]!r}: {body[:300]!r} to {request[:200]!r}")
        return body

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of the answer."""
        return json.loads(await self.send(self.request(method, path, body)))

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            with suppress(RuntimeError):  # its loop has ended
                self._streams[1].close()


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def loaded(connect: Callable[[], Connection], works: list[Iterator[tuple[str, Any]]], seconds: float) -> Load:
    """Return what as many clients as `works` have done in `seconds`: each posts the paths and bodies of its own."""
    times: list[float] = []
    connections = [connect() for _ in works]
    end = perf_counter() + seconds

    async def client(connection: Connection, work: Iterator[tuple[str, Any]]) -> None:
        while (began := perf_counter()) < end:
            await connection.send(connection.request("POST", *next(work)))
            times.append((perf_counter() - began) * 1_000)

    began = perf_counter()
    await asyncio.gather(*map(client, connections, works))
    took = perf_counter() - began
    for one in connections:
        one.close()
    return Load(len(times), took, sorted(times))
