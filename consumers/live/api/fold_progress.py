"""
Wait until the log is folded up to somewhere, so that a reader sees what was just written.

However many requests wait, the store is asked how far it is by one task, which ends when nobody waits any more. Each
request looks for itself whether what it needs is there, when there is news and not before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from consumers.live.api.errors import Failure
from schemas.errors import StoreUnavailable

ASK_EVERY_S = 0.02
MAX_WAITING = 1_000  # requests
MAX_WAIT_S = 60.0  # of one request

Positions = Mapping[int, int]


class Progress:
    """How far the log is folded, for many who wait for it."""

    def __init__(self, ask: Callable[[], Awaitable[Positions]]) -> None:
        self._ask = ask
        self._news = asyncio.Event()
        self._waiting = 0
        self._asking: asyncio.Task[None] | None = None
        self._is_closed = False

    async def until(self, is_there: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
        """
        Return True once `is_there` says so, False after `timeout_s` seconds.

        Raises what `is_there` raises, and Failure when too many wait or this process stops.
        """
        if self._waiting >= MAX_WAITING:
            raise Failure(503, f"{MAX_WAITING:,} requests wait already", "ask again in a moment", retry_after_s=2)
        self._waiting += 1
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._keep_asking())
        try:
            async with asyncio.timeout(timeout_s):
                while not self._is_closed:
                    news = self._news
                    if await is_there():
                        return True
                    await news.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        raise Failure(503, "this process is about to stop", "ask again in a moment", retry_after_s=2)

    def close(self) -> None:
        """Answer everybody who waits."""
        self._is_closed = True
        self._tell()

    async def _keep_asking(self) -> None:
        """Tell that there is news when the positions changed, or could not be asked for."""
        last: Positions | None = None
        while self._waiting and not self._is_closed:
            try:
                now = await self._ask()
            except StoreUnavailable:
                now = None
            if now is None or now != last:
                last = now
                self._tell()
            await asyncio.sleep(ASK_EVERY_S)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def behind(wanted: Positions, folded: Positions) -> dict[int, int]:
    """Return how many records are still to be folded, by partition, where there are any."""
    return {
        partition: offset - folded.get(partition, 0)
        for partition, offset in sorted(wanted.items())
        if folded.get(partition, 0) < offset
    }
