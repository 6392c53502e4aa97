"""
Wait until the log is folded up to given offsets, so that a reader sees what was just written.

However many requests wait, one task polls the store, and it ends when no request waits any more. Each request checks
its own condition, but only after the polled offsets have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from consumers.live.api.errors import Failure
from schemas.errors import StoreUnavailable

POLL_S = 0.02
MAX_WAITING = 1_000  # requests
MAX_WAIT_S = 60.0  # of one request

Positions = Mapping[int, int]


class FoldProgress:
    """How far the log is folded, for many requests that wait for it."""

    def __init__(self, ask: Callable[[], Awaitable[Positions]]) -> None:
        self._ask = ask
        self._changed = asyncio.Event()
        self._waiting = 0
        self._poller: asyncio.Task[None] | None = None
        self._is_closed = False

    async def wait_until(self, is_folded: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
        """
        Return True once `is_folded` returns True, False after `timeout_s` seconds.

        Raises the errors of `is_folded`, and Failure when too many requests wait or this process stops.
        """
        if self._waiting >= MAX_WAITING:
            raise Failure(503, f"{MAX_WAITING:,} requests wait already", "ask again in a moment", retry_after_s=2)
        self._waiting += 1
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(timeout_s):
                while not self._is_closed:
                    changed = self._changed
                    if await is_folded():
                        return True
                    await changed.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        raise Failure(503, "this process is about to stop", "ask again in a moment", retry_after_s=2)

    def close(self) -> None:
        """Answer every request that waits."""
        self._is_closed = True
        self._notify()

    async def _poll(self) -> None:
        """Wake the waiting requests when the offsets changed or could not be read."""
        last: Positions | None = None
        while self._waiting and not self._is_closed:
            try:
                now = await self._ask()
            except StoreUnavailable:
                now = None
            if now is None or now != last:
                last = now
                self._notify()
            await asyncio.sleep(POLL_S)

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def missing_records(wanted: Positions, folded: Positions) -> dict[int, int]:
    """Return how many records are not folded yet, by partition; partitions without any are left out."""
    return {
        partition: offset - folded.get(partition, 0)
        for partition, offset in sorted(wanted.items())
        if folded.get(partition, 0) < offset
    }
