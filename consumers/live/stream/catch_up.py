"""
Catch-up of a stream: events that it missed, read from the log until the tail takes over.

The stream joins the tail only when few records are left, so a long history does not fill its queue. Reading continues
at least to the tail's position at that moment, so there is no gap. Records read beyond it lie below the stream's
positions, and the stream skips them when the tail publishes them again, so there is no overlap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Generic, TypeVar

from consumers.live.stream.messages import Message, key_text, to_message
from consumers.live.stream.subscribers import Listener, Subscribers
from consumers.live.stream.tail import Tail
from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.watermarks import close_quietly
from consumers.store.run_partitions import is_stray
from schemas.errors import LogUnavailable

CLOSE_ENOUGH = 500  # records left to read when the stream joins the tail
FETCH_RECORDS = 200
FETCH_WAIT_MS = 1_000
TURN_WAIT_S = 1.0
T = TypeVar("T")


async def catch_up(
    tail: Tail, subscribers: Subscribers, listener: Listener, positions: dict[int, int]
) -> AsyncGenerator[Message | None, None]:
    """
    Yield the messages for `listener` from `positions` on and advance them; adds the listener to the tail.

    Yields None after each part of the log that was read, and while it waits for its turn. Raises LogUnavailable, LogGap
    and LogDamaged.
    """

    def wanted(record: Record) -> Message | None:
        run_id = key_text(record)
        return to_message(record) if run_id is not None and listener.wants(run_id, record.partition) else None

    missed = Missed(tail, subscribers.catch_ups, wanted, lambda: subscribers.add(listener))
    async with aclosing(missed.read(positions)) as found:
        async for message in found:
            yield message


class Missed(Generic[T]):
    """Records that a stream missed, as what `wanted` makes of them."""

    def __init__(
        self, tail: Tail, turns: asyncio.Semaphore, wanted: Callable[[Record], T | None], join: Callable[[], object]
    ) -> None:
        """`join` is called once: the stream gets from the tail what comes from then on."""
        self._tail, self._turns, self._wanted, self._join = tail, turns, wanted, join

    async def read(self, positions: dict[int, int]) -> AsyncGenerator[T | None, None]:
        """Yield what is wanted from `positions` on and advance them, as `catch_up` does."""
        if not left(self._tail.positions, positions):
            self._join()
            return
        while not await _has_turn(self._turns):
            yield None
        try:
            async with aclosing(self._read(positions)) as found:
                async for one in found:
                    yield one
        finally:
            self._turns.release()

    async def _read(self, positions: dict[int, int]) -> AsyncGenerator[T | None, None]:
        tail = self._tail
        reader = LogReader(tail.bootstrap, tail.topic, tail.security)
        try:
            await reader.open()
            await reader.assign(positions)
            handover: dict[int, int] | None = None
            while True:
                if handover is None and sum(left(tail.positions, positions).values()) <= CLOSE_ENOUGH:
                    self._join()
                    handover = dict(tail.positions)
                if handover is not None and not left(handover, positions):
                    return
                records = await reader.fetch(timeout_ms=FETCH_WAIT_MS, max_records=FETCH_RECORDS)
                partitions = await tail.partitions(records)
                for record in records:
                    positions[record.partition] = record.offset + 1
                    run_id = key_text(record)
                    if run_id is None or is_stray(run_id, record.partition, partitions):
                        continue
                    if (one := self._wanted(record)) is not None:
                        yield one
                yield None
        finally:
            await close_quietly(reader)


async def _has_turn(turns: asyncio.Semaphore) -> bool:
    """Return whether a turn came in time."""
    try:
        async with asyncio.timeout(TURN_WAIT_S):
            return await turns.acquire()
    except TimeoutError:
        return False


def left(target: Mapping[int, int], positions: Mapping[int, int]) -> dict[int, int]:
    """Return how many records lie between the position and the target of each partition, where there are any."""
    if not target.keys() >= positions.keys():
        raise LogUnavailable("the log is being opened again")
    return {part: target[part] - offset for part, offset in positions.items() if target[part] > offset}
