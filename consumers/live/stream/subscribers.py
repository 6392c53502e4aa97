"""
Who is offered what the tail publishes, by run. A queue for each stream of events, and the end of slow ones.

Publishing never waits, and memory never grows: a subscriber whose queue is full is overrun, which empties its queue and
ends its stream. The browser reconnects from its last position and reads what it missed from the log. The log is the
buffer, not this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Literal, Protocol

from consumers.live.stream.messages import Message

MAX_QUEUE_BYTES = 4 * 1024 * 1024  # of record values waiting for one subscriber
MAX_QUEUE_MESSAGES = 10_000
MAX_SUBSCRIBERS = 1_000  # streams, those included that catch up
MAX_CATCH_UPS = 50  # at once: each has a connection to Kafka of its own, and others wait for their turn

State = Literal["open", "overrun", "closed"]


class Stream(Protocol):
    """An open stream."""

    def close(self) -> None:
        """End it."""


class Listener(Stream, Protocol):
    """What is published to: the queue of a stream, or the state of a reader (consumers/live/feeds)."""

    state: State

    @property
    def run_ids(self) -> Collection[str] | None:
        """The runs whose events it wants; None: those of all runs."""

    def wants(self, run_id: str, partition: int) -> bool:
        """Return True if an event belongs to this stream."""

    def offer(self, message: Message) -> None:
        """Take a message. Never waits."""


class Subscriber:
    """One stream's queue. Used from one event loop."""

    def __init__(
        self,
        run_id: str | None,
        partitions: frozenset[int],
        *,
        reads_all: bool = False,
        max_bytes: int = MAX_QUEUE_BYTES,
        max_messages: int = MAX_QUEUE_MESSAGES,
    ) -> None:
        """Subscribe to these partitions; `reads_all`: also to those that the topic gets later."""
        self.run_id = run_id
        self.reads_all = reads_all
        self.partitions = partitions
        self.state: State = "open"
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._bytes = 0
        self._queue: list[Message] = []
        self._changed = asyncio.Event()

    @property
    def run_ids(self) -> Collection[str] | None:
        """The runs whose events it wants; None: those of all runs."""
        return None if self.run_id is None else (self.run_id,)

    def wants(self, run_id: str, partition: int) -> bool:
        """Return True if an event belongs to this stream."""
        return (self.reads_all or partition in self.partitions) and (self.run_id is None or self.run_id == run_id)

    def offer(self, message: Message) -> None:
        """Queue a message, or overrun this subscriber. Never waits."""
        if self.state != "open":
            return
        if self._queue and (self._bytes + message.size > self._max_bytes or len(self._queue) >= self._max_messages):
            self._end("overrun")
            return
        self._queue.append(message)
        self._bytes += message.size
        self._changed.set()

    async def take(self, timeout_s: float) -> list[Message]:
        """Return the queued messages, waiting at most `timeout_s` for the first; [] on timeout and after the end."""
        if not self._queue and self.state == "open":
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), timeout_s)
        taken, self._queue, self._bytes = self._queue, [], 0
        return taken

    def close(self) -> None:
        """End the stream; `take` returns at once."""
        self._end("closed")

    def _end(self, state: State) -> None:
        self.state = state
        self._queue.clear()
        self._bytes = 0
        self._changed.set()


class Subscribers:
    """The listeners of all open streams."""

    def __init__(self) -> None:
        self._every: set[Listener] = set()  # those that want events of all runs
        self._by_run: dict[str, set[Listener]] = {}
        self._streams: set[Stream] = set()  # also while they catch up
        self.catch_ups = asyncio.Semaphore(MAX_CATCH_UPS)
        self.overruns = 0  # streams ended because their reader was too slow

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def is_full(self) -> bool:
        """Whether no other stream may begin."""
        return len(self._streams) >= MAX_SUBSCRIBERS

    def enter(self, stream: Stream) -> bool:
        """Count a stream that begins, also while it catches up; False if too many are open."""
        if self.is_full:
            return False
        self._streams.add(stream)
        return True

    def leave(self, stream: Stream) -> None:
        """Count a stream that ends."""
        self._streams.discard(stream)

    def add(self, listener: Listener) -> None:
        """Offer a listener everything that is published from now on."""
        if listener.run_ids is None:
            self._every.add(listener)
        for run_id in listener.run_ids or ():
            self._by_run.setdefault(run_id, set()).add(listener)

    def remove(self, listener: Listener) -> None:
        """Offer a listener nothing more; does nothing if it is not there."""
        self._every.discard(listener)
        for run_id in listener.run_ids or ():
            if (found := self._by_run.get(run_id)) is not None:
                found.discard(listener)
                if not found:
                    del self._by_run[run_id]

    def publish(self, run_id: str, partition: int, make: Callable[[], Message | None]) -> None:
        """Offer one event to every listener that wants it; calls `make` once, and only if there is any."""
        named = self._by_run.get(run_id, ())
        wanting = [one for some in (self._every, named) for one in some if one.wants(run_id, partition)]
        if not wanting:
            return
        message = make()
        if message is None:
            return
        for listener in wanting:
            was = listener.state
            listener.offer(message)
            self.overruns += was != listener.state

    def close(self) -> None:
        """End every stream."""
        for listener in list(self._streams):
            listener.close()
