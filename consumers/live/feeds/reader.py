"""
The events of one connection, in frames: its topics by turns, at most so many times a second.

The position of each topic moves only with what was sent of it, so a reader that continues from the `id` of an event
gets everything that follows it, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from consumers.live.feeds.feed import Event, Failed, Feed, event
from consumers.live.feeds.topic_positions import write_token
from consumers.live.stream.messages import HEARTBEAT, mark

HEARTBEAT_S = 5.0  # a page that hears nothing for 15 s says so (dashboard/src/api)
RETRY_MS = 1_000  # how long a browser waits before it reconnects
EVERY_S, LONGEST_S = 0.1, 1.0  # between two frames of one reader, with few and with many readers
FRAMES_A_SECOND = 1_500  # to all readers together


def pause_s(readers: int) -> float:
    """Return the time between two frames of one reader."""
    return min(LONGEST_S, max(EVERY_S, readers / FRAMES_A_SECOND))


class Reader:
    """One connection."""

    def __init__(self, feeds: Sequence[Feed], readers: Callable[[], int]) -> None:
        """`readers` returns how many connections there are."""
        self._feeds, self._readers = feeds, readers
        self._wake = asyncio.Event()
        for feed in feeds:
            feed.wake = self._wake
        self._tokens = {feed.topic: feed.token for feed in feeds}

    @property
    def is_closed(self) -> bool:
        """Whether the stream ends."""
        return any(feed.is_closed for feed in self._feeds)

    def close(self) -> None:
        """End the stream."""
        for feed in self._feeds:
            feed.close()

    async def frames(self) -> AsyncGenerator[bytes]:
        """Yield frames until it is closed. Raises StoreUnavailable, LogUnavailable and Failure."""
        yield mark(write_token(self._tokens), retry_ms=RETRY_MS)
        for feed in self._feeds:
            async with aclosing(feed.catch_up()) as missed:
                async for events in missed:
                    yield self._written(feed, events) or self._alive()
                    if self.is_closed:
                        return
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            if self.is_closed:
                return
            self._wake.clear()
            began = clock()
            try:
                yield await self._news() or self._alive()
            except Failed as error:
                yield dropped(str(error))
                return
            await asyncio.sleep(max(0.0, began + pause_s(self._readers()) - clock()))

    async def _news(self) -> bytes:
        return b"".join([self._written(feed, await feed.take()) for feed in self._feeds])

    def _alive(self) -> bytes:
        return HEARTBEAT + mark(write_token(self._tokens))

    def _written(self, feed: Feed, events: Sequence[Event]) -> bytes:
        """Return the frames of events; the last has the position."""
        self._tokens[feed.topic] = feed.token
        if not events:
            return b""
        *others, last = events
        found = [b"event: %b\ndata: %b\n\n" % (one.name.encode(), one.data) for one in others]
        at = write_token(self._tokens).encode()
        found.append(b"id: %b\nevent: %b\ndata: %b\n\n" % (at, last.name.encode(), last.data))
        return b"".join(found)


def dropped(reason: str) -> bytes:
    """Return the frame that ends a stream."""
    last = event("dropped", {"reason": reason})
    return b"event: dropped\ndata: %b\n\n" % last.data
