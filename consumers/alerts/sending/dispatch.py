"""
A worker for each target: it takes messages from the outbox, oldest first, and sends one after the other.

At least once: a message is marked as sent after its target took it, so a process that is killed in between sends it
again, with the same delivery id. A message that is not taken is tried again after waits that double, up to LONGEST_S,
and given up GIVE_UP_S after it was stored; between failures the target is left alone for up to PAUSE_S. Each target has
its own thread, so that none waits for another, and nothing waits in memory: a target that is away for a day costs rows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from consumers.alerts.sending.senders import NotTaken, Send, sender
from consumers.alerts.sending.targets import TargetsFile
from consumers.store.alerts.outbox import Message, Outbox
from consumers.telemetry.metrics import AlertMetrics
from schemas.errors import StoreUnavailable

BATCH = 20
POLL_S = 1.0  # after which a target is looked at also without a new message
FIRST_S, PAUSE_S, LONGEST_S = 1.0, 30.0, 300.0
GIVE_UP_S = 86_400.0
TIDY_S, SHORTEN_S = 10.0, 3_600.0
WATCH_S = 2.0  # between two looks at the targets file

log = logging.getLogger("consumers.alerts")


class Keep(NamedTuple):
    """Settings of sending."""

    api: str  # address of the dashboard, for links
    days: float  # after which alerts that are resolved are deleted; 0: never


class Dispatch:
    """Sends what the outbox holds, until it is cancelled."""

    def __init__(self, outbox: Outbox, targets: TargetsFile, keep: Keep, metrics: AlertMetrics) -> None:
        self._outbox, self._file, self._keep, self._metrics = outbox, targets, keep, metrics
        self._wake: dict[str, asyncio.Event] = {}

    def wake(self) -> None:
        """Look for messages now."""
        for event in self._wake.values():
            event.set()

    async def run(self) -> None:
        """Send without end. An outage of PostgreSQL is waited out; a targets file that changes is read again."""
        while True:
            targets, changed = self._file.now.targets, asyncio.Event()
            self._wake = {name: asyncio.Event() for name in targets}
            async with asyncio.TaskGroup() as group:
                for name, target in targets.items():
                    group.create_task(self._serve(name, sender(target, self._keep.api), changed))
                group.create_task(self._tidy(list(targets), changed))
                group.create_task(self._watch(changed))

    async def _watch(self, changed: asyncio.Event) -> None:
        """Let the workers end, each after the message that it is sending, when there are other targets."""
        while not await asyncio.to_thread(self._file.has_changed):  # noqa: ASYNC110 -- a file has no event
            await asyncio.sleep(WATCH_S)
        changed.set()
        self.wake()

    async def _serve(self, name: str, send: Send, changed: asyncio.Event) -> None:
        thread = ThreadPoolExecutor(1, f"alerts-{name}")
        failures = 0
        try:
            while not changed.is_set():
                self._wake[name].clear()
                messages: list[Message] = []
                with suppress(StoreUnavailable):
                    messages = await self._outbox.waiting(name, BATCH)
                    for message in messages:
                        failures = 0 if await self._send(name, send, thread, message) else failures + 1
                        if failures or changed.is_set():
                            break
                if failures:
                    with suppress(TimeoutError):
                        pause_s = min(PAUSE_S, FIRST_S * 2.0 ** min(failures - 1, 10))
                        await asyncio.wait_for(changed.wait(), pause_s)
                elif len(messages) < BATCH:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake[name].wait(), POLL_S)
        finally:
            thread.shutdown(wait=False, cancel_futures=True)

    async def _send(self, name: str, send: Send, thread: ThreadPoolExecutor, message: Message) -> bool:
        """Send one message; return whether its target took it."""
        try:
            await asyncio.get_running_loop().run_in_executor(thread, send, message)
        except NotTaken as error:
            wait_s = max(error.after_s or 0.0, min(LONGEST_S, FIRST_S * 2.0 ** min(message.attempts, 20)))
            is_hopeless = time.time() - message.created.timestamp() + wait_s > GIVE_UP_S
            if message.attempts == 0 or is_hopeless:
                log.warning("target %s: %s: %s", name, error, "given up" if is_hopeless else "trying again")
            await self._outbox.failed(message.number, str(error), None if is_hopeless else wait_s)
            self._metrics.failed(name, given_up=is_hopeless)
            return False
        await self._outbox.sent(message.number)
        self._metrics.sent(name)
        return True

    async def _tidy(self, targets: list[str], changed: asyncio.Event) -> None:
        next_shorten = 0.0
        while not changed.is_set():
            with suppress(StoreUnavailable):
                await self._outbox.refuse_unknown(targets)
                if time.monotonic() >= next_shorten:
                    await self._outbox.shorten(self._keep.days)
                    next_shorten = time.monotonic() + SHORTEN_S
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), TIDY_S)
