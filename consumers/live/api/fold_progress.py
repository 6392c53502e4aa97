"""
Wait until the log is folded up to given offsets, so that a reader sees what was just written.

However many requests wait, one task asks the store, for all of them at once: for the offsets, for the producers whose
records are waited for, and for the decisions. It ends when no request waits any more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

from consumers.live.api.errors import Failure
from consumers.store.read.snapshot import FoldedNumbers
from consumers.store.registry.read import RequestKey
from schemas.api import DecisionDocument
from schemas.errors import StoreUnavailable

POLL_S = (0.002, 0.02)  # between two questions: soon after a wait began, and later
SOON_S = 0.2
ASKING = 0.2  # of the time, as long as that makes no pause longer than the last
LONGEST_S = 0.1
MAX_WAITING = 1_000  # requests
MAX_WAIT_S = 60.0  # of one request

Positions = Mapping[int, int]
Producer = tuple[str, str]  # run, producer


class Folded(NamedTuple):
    """How far the log is folded at one instant."""

    offsets: Positions
    received: Mapping[Producer, FoldedNumbers]  # of the producers that were asked for
    decided: Mapping[RequestKey, DecisionDocument | None] = {}  # of the requests that were asked for; None: not yet

    def answers(self, asked: Producer | RequestKey | None) -> bool:
        """Tell whether this includes what was asked for."""
        return asked is None or asked in self.received or asked in self.decided


class FoldProgress:
    """How far the log is folded, for many requests that wait for it."""

    def __init__(self, ask: Callable[[Collection[Producer | RequestKey]], Awaitable[Folded]]) -> None:
        self._ask = ask
        self._changed = asyncio.Event()
        self._waiting = 0
        self._asked: Counter[Producer | RequestKey] = Counter()
        self._poller: asyncio.Task[None] | None = None
        self._began = 0.0  # when the newest wait began, in the loop's time
        self._is_closed = False
        self._last: Folded | StoreUnavailable | None = None  # what the poller got; None: nothing yet

    async def wait_until(
        self, is_folded: Callable[[Folded], bool], timeout_s: float, asked: Producer | RequestKey | None = None
    ) -> tuple[bool, Folded]:
        """
        Return whether `is_folded` held within `timeout_s` seconds, and what it was given last.

        `is_folded` is given the received numbers, or the decision, that is `asked` for, if any. Raises StoreUnavailable
        while PostgreSQL is away, and Failure when too many requests wait or this process stops.
        """
        if self._waiting >= MAX_WAITING:
            raise Failure(503, f"{MAX_WAITING:,} requests wait already", "ask again in a moment", retry_after_s=2)
        if not self._waiting:
            self._last = None  # what was known when the last request ended may be an outage that is over
        self._waiting += 1
        self._began = asyncio.get_running_loop().time()
        if asked is not None:
            self._asked[asked] += 1
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        last = Folded({}, {})
        try:
            async with asyncio.timeout(timeout_s):
                while not self._is_closed:
                    changed, now = self._changed, self._last
                    if isinstance(now, StoreUnavailable):
                        raise now
                    if now is not None and now.answers(asked):
                        last = now
                        if is_folded(now):
                            return True, now
                    await changed.wait()
        except TimeoutError:
            return False, last
        finally:
            self._waiting -= 1
            if asked is not None:
                self._asked[asked] -= 1
        raise Failure(503, "this process is about to stop", "ask again in a moment", retry_after_s=2)

    def close(self) -> None:
        """Answer every request that waits."""
        self._is_closed = True
        self._notify()

    async def _poll(self) -> None:
        """Ask the store, and wake the waiting requests when the answer has changed."""
        clock = asyncio.get_running_loop().time
        while self._waiting and not self._is_closed:
            asked_at = clock()
            self._asked += Counter()  # drops those that no request waits for any more
            now: Folded | StoreUnavailable
            try:
                now = await self._ask(list(self._asked))
            except StoreUnavailable as error:
                now = error
            if now != self._last:
                self._last = now
                self._notify()
            answered_at = clock()
            pause = POLL_S[0] if answered_at - self._began < SOON_S else POLL_S[1]
            rest = (answered_at - asked_at) * (1 / ASKING - 1)
            await asyncio.sleep(max(pause, min(rest, LONGEST_S)))

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
