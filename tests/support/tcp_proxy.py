"""
A TCP proxy on loopback that disturbs the connections between processes and a server. It runs in its own thread.

The test's thread calls `cut`, `delay` and so on; each is in effect when it returns. `heal` restores the connection, and
resets connections that were half-closed, because one of their ends no longer exists.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from gateway.local.ports import HOST, free_ports

PIECE = 65_536  # bytes read at once


class Proxy:
    """Forwards connections to the port of a server, disturbed as its methods say."""

    def __init__(self, target_port: int) -> None:
        (self.port,) = free_ports(1)
        self.accepted = 0  # number of connections since the start
        self._target_port = target_port
        self._delay_s = 0.0
        self._limit: int | None = None
        self._lines: set[_Line] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name=f"proxy-{self.port}")

    @property
    def address(self) -> str:
        """Where clients connect: host:port."""
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        """Start listening."""
        self._thread.start()
        self._order(self._open())

    def close(self) -> None:
        """End every connection and the thread."""
        self._order(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Reset every connection and refuse new ones until `heal`."""
        self._order(self._cut())

    def drop(self) -> None:
        """Reset every connection; accept new ones."""
        self._order(self._drop())

    def delay(self, seconds: float) -> None:
        """Delay each piece of data by this many seconds, in both directions."""
        self._order(self._set(delay_s=seconds))

    def stall(self) -> None:
        """Accept connections but forward nothing in either direction until `heal`; then forward what has waited."""
        self._order(self._stall())

    def half_close(self) -> None:
        """Close the server's end of every connection; the client's end stays open and receives nothing until `heal`."""
        self._order(self._half_close())

    def limit(self, connections: int) -> None:
        """Close new connections at once while this many are open."""
        self._order(self._set(limit=connections))

    def heal(self) -> None:
        """Forward everything without disturbance again."""
        self._order(self._heal())

    def _order(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port, reuse_address=True)
        self._flow = asyncio.Event()
        self._flow.set()

    async def _close(self) -> None:
        await self._cut()
        self._flow.set()
        while self._lines or len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - until the last connection has ended
            await asyncio.sleep(0.005)

    async def _cut(self) -> None:
        if self._server is not None:
            # A connection that asyncio is still accepting when its server closes would leave its socket open.
            for listening in self._server.sockets:
                self._loop.remove_reader(listening.fileno())
            for _ in range(3):
                await asyncio.sleep(0)
            self._server.close()
            self._server = None
        await self._drop()

    async def _drop(self) -> None:
        for line in self._lines:
            line.reset()

    async def _stall(self) -> None:
        self._flow.clear()

    async def _half_close(self) -> None:
        for line in self._lines:
            line.forget_server()

    async def _set(self, *, delay_s: float = 0.0, limit: int | None = None) -> None:
        self._delay_s, self._limit = delay_s, limit

    async def _heal(self) -> None:
        await self._set()
        for line in self._lines:
            if line.is_half:
                line.reset()
        self._flow.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port, reuse_address=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._limit is not None and len(self._lines) >= self._limit:
            writer.transport.abort()
            return
        line = _Line(writer)
        self._lines.add(line)
        try:
            await self._flow.wait()
            far_reader, line.far = await asyncio.open_connection(HOST, self._target_port)
            if line.is_over:
                return
            await asyncio.gather(self._carry(reader, line.far, line), self._carry(far_reader, writer, line))
        except OSError:
            pass  # the server is down or the connection was reset: the client sees its connection end
        finally:
            line.reset()
            self._lines.discard(line)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
        while piece := await reader.read(PIECE):
            await self._flow.wait()
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            if line.is_half:
                continue  # discarded, as on a route that is gone
            writer.write(piece)
            await writer.drain()
        if not line.is_half and not line.is_over:
            with contextlib.suppress(OSError, RuntimeError):
                writer.write_eof()


class _Line:
    """A connection: the client's end and, once it is open, the server's end."""

    def __init__(self, near: asyncio.StreamWriter) -> None:
        self.near = near
        self.far: asyncio.StreamWriter | None = None
        self.is_half = False
        self.is_over = False

    def reset(self) -> None:
        # The task ends by itself. If it were cancelled while it connects, it would leave a socket open.
        self.is_over = True
        for writer in (self.near, self.far):
            if writer is not None:
                writer.transport.abort()

    def forget_server(self) -> None:
        self.is_half = True
        if self.far is not None:
            self.far.transport.abort()


@contextmanager
def proxy_to(target_port: int) -> Iterator[Proxy]:
    """Yield a proxy that forwards; close it when the block ends."""
    proxy = Proxy(target_port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
