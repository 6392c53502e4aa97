"""
The answer that is a stream. A client that takes nothing for STALLED_S is dropped, with a reason. One whose token or
login has ended gets nothing more: the stream ends where its next frame would be.

What was sent and not taken waits in the socket and in the buffer of its connection, both of which are bounded, and then
the next frame waits. ASGI cannot write past that point, so the last event goes to the connection itself, which closes
once the client has taken it, and is cut off after GRACE_S.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from consumers.live.feeds.reader import dropped

STALLED_S = 30.0
GRACE_S = 15.0
SOCKET_BYTES = 256 * 1024  # that the system keeps of a stream whose client does not read
TRANSPORT = "transport"  # in the state of an ASGI scope: the connection, see consumers/live/server.py

log = logging.getLogger("consumers.live")


class EventStream(StreamingResponse):
    """Server-sent events."""

    def __init__(self, frames: AsyncGenerator[bytes], stalled: Callable[[], None], *, stalled_s: float) -> None:
        """`stalled` is called when the client took nothing for `stalled_s`; then the stream ends."""
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(frames, media_type="text/event-stream", headers=headers)
        self._frames, self._stalled, self._stalled_s = frames, stalled, stalled_s
        self._transport: asyncio.Transport | None = None
        self._is_chunked = True
        self._may_read: Callable[[], bool] = lambda: True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - ASGI's own
        self._may_read = scope["app"].state.access.watch(scope)
        self._transport = scope.get("state", {}).get(TRANSPORT)
        self._is_chunked = scope["http_version"] == "1.1"
        if self._transport is not None and (found := self._transport.get_extra_info("socket")) is not None:
            with suppress(OSError):
                found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        """Send the frames."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._frames):
            async for frame in self._frames:
                if not self._may_read():
                    break
                try:
                    async with asyncio.timeout(self._stalled_s):
                        await send({"type": "http.response.body", "body": frame, "more_body": True})
                except TimeoutError:
                    self._stalled()
                    await self._drop()
                    return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drop(self) -> None:
        reason = f"the reader took nothing for {self._stalled_s:g} s: go on from the id of the last event"
        log.warning("a stream was dropped: %s", reason)
        if self._transport is None:
            return
        last = dropped(reason)
        self._transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last) if self._is_chunked else last)
        self._transport.close()
        await asyncio.sleep(GRACE_S)
        self._transport.abort()
        await asyncio.Event().wait()  # cancelled when the connection is lost, which is now
