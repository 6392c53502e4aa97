"""
The topic `alerts`: firings, when they begin and when they are resolved.

The alerts process writes them in an order of its own, which is not that of the log: each change of a row has a number,
and the position of a reader is the number of the last. One task asks for changes, for all readers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from consumers.live.feeds.feed import Event, reset
from consumers.store.alerts.firings import AlertChange
from consumers.store.read.reader import StoreReader
from schemas.api.alerts import AlertDocument
from schemas.errors import StoreUnavailable

EVERY_S = 0.5
AT_ONCE = 1_000  # changes; a reader that missed more reads the list again


class AlertChanges:
    """Asks for changes while there are readers."""

    def __init__(self, store: Callable[[], StoreReader]) -> None:
        self._store = store
        self._feeds: set[AlertsFeed] = set()
        self._task: asyncio.Task[None] | None = None
        self._after = 0

    async def newest(self) -> int:
        """Return the number of the newest change. Raises StoreUnavailable."""
        async with self._store().snapshot() as now:
            return await now.registry.firings.newest_change()

    async def after(self, number: int) -> list[AlertChange]:
        """Return the changes after this number, in order, up to AT_ONCE. Raises StoreUnavailable."""
        async with self._store().snapshot() as now:
            return await now.registry.firings.changes(number, AT_ONCE)

    def join(self, feed: AlertsFeed) -> None:
        """Tell a reader what changes from now on. It skips what it knows."""
        self._after = feed.number if not self._feeds else min(self._after, feed.number)
        self._feeds.add(feed)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def leave(self, feed: AlertsFeed) -> None:
        """Forget a reader."""
        self._feeds.discard(feed)

    def close(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._feeds:
            after = self._after
            try:
                found = await self.after(after)
            except StoreUnavailable:
                found = []
            if self._after < after:  # meanwhile a reader joined that knows less
                continue
            if found:
                self._after = found[-1].number
            for feed in list(self._feeds):
                feed.offer(found)
            if len(found) < AT_ONCE:
                await asyncio.sleep(EVERY_S)


class AlertsFeed:
    """Firings for one reader."""

    topic = "alerts"

    def __init__(self, changes: AlertChanges, number: int, run_id: str | None, rule_id: str | None) -> None:
        """Begin after the change with this number; only firings of one run or rule, if given."""
        self.wake = asyncio.Event()
        self.is_closed = False
        self.number = number
        self._changes, self._run_id, self._rule_id = changes, run_id, rule_id
        self._taken = number
        self._pending: dict[str, AlertDocument] = {}
        self._is_lost = False

    @property
    def token(self) -> str:
        """Where to go on after what was taken."""
        return str(self._taken)

    def close(self) -> None:
        """End it."""
        self.is_closed = True
        self._changes.leave(self)
        self.wake.set()

    def offer(self, changes: Sequence[AlertChange]) -> None:
        """Take changes; the newest state of a firing counts. Never waits."""
        for number, alert in changes:
            if number <= self.number:
                continue
            self.number = number
            if self._run_id in (None, alert.run_id) and self._rule_id in (None, alert.rule_id):
                self._pending[alert.alert_id] = alert
                self.wake.set()
        if len(self._pending) > AT_ONCE:
            self._pending, self._is_lost = {}, True

    async def take(self) -> Sequence[Event]:
        """Return what is new."""
        pending, is_lost, self._taken = self._pending, self._is_lost, self.number
        self._pending, self._is_lost = {}, False
        told = [Event("alert", alert.model_dump_json().encode()) for alert in pending.values()]
        lost = [reset(self.topic, "more alerts than may wait for a reader that is this slow", {})] if is_lost else []
        return [*lost, *told]

    async def catch_up(self) -> AsyncGenerator[Sequence[Event], None]:
        """Find what was missed; `take` has it."""
        missed = await self._changes.after(self.number)
        if len(missed) == AT_ONCE:
            self.number = self._taken = await self._changes.newest()
            yield [reset(self.topic, f"over {AT_ONCE:,} alerts since", {})]
        else:
            self.offer(missed)
        self._changes.join(self)
