"""
Catch-up of a stream: events that it missed, read from the log until the tail takes over.

The subscriber is added to the tail only when few records are left, so a long history does not fill its queue. Reading
continues at least to the tail's position at that moment, so there is no gap. Records read beyond it lie below the
stream's positions, and the stream skips them when the tail publishes them again, so there is no overlap.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from consumers.live.stream.messages import Message
from consumers.live.stream.subscribers import Subscriber, Subscribers
from consumers.live.stream.tail import Tail, key_text, to_message
from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.watermarks import close_quietly
from consumers.store.run_partitions import is_stray
from schemas.errors import LogUnavailable

CLOSE_ENOUGH = 500  # records left to read when the subscriber is added to the tail
FETCH_RECORDS = 200
FETCH_WAIT_MS = 1_000
TURN_WAIT_S = 1.0


async def catch_up(
    tail: Tail, subscribers: Subscribers, subscriber: Subscriber, positions: dict[int, int]
) -> AsyncGenerator[Message | None, None]:
    """
    Yield the messages for `subscriber` from `positions` on and advance them; adds the subscriber to the tail.

    Yields None after each part of the log that was read, and while it waits for its turn. Raises LogUnavailable, LogGap
    and LogDamaged.
    """
    if not _left(tail.positions, positions):
        subscribers.add(subscriber)
        return
    while not await _has_turn(subscribers.catch_ups):
        yield None
    try:
        async with aclosing(_read(tail, subscribers, subscriber, positions)) as found:
            async for message in found:
                yield message
    finally:
        subscribers.catch_ups.release()


async def _has_turn(turns: asyncio.Semaphore) -> bool:
    """Return whether a turn came in time."""
    try:
        async with asyncio.timeout(TURN_WAIT_S):
            return await turns.acquire()
    except TimeoutError:
        return False


async def _read(
    tail: Tail, subscribers: Subscribers, subscriber: Subscriber, positions: dict[int, int]
) -> AsyncGenerator[Message | None, None]:
    reader = LogReader(tail.bootstrap, tail.topic, tail.security)
    try:
        await reader.open()
        await reader.assign(positions)
        handover: dict[int, int] | None = None
        while True:
            if handover is None and sum(_left(tail.positions, positions).values()) <= CLOSE_ENOUGH:
                subscribers.add(subscriber)
                handover = dict(tail.positions)
            if handover is not None and not _left(handover, positions):
                return
            records = await reader.fetch(timeout_ms=FETCH_WAIT_MS, max_records=FETCH_RECORDS)
            partitions = await tail.partitions(records)
            for record in records:
                positions[record.partition] = record.offset + 1
                if message := _wanted(subscriber, record, partitions):
                    yield message
            yield None
    finally:
        await close_quietly(reader)


def _left(target: Mapping[int, int], positions: Mapping[int, int]) -> dict[int, int]:
    """Return how many records lie between the position and the target of each partition, where there are any."""
    if not target.keys() >= positions.keys():
        raise LogUnavailable("the log is being opened again")
    return {part: target[part] - offset for part, offset in positions.items() if target[part] > offset}


def _wanted(subscriber: Subscriber, record: Record, partitions: Mapping[str, int]) -> Message | None:
    run_id = key_text(record)
    if run_id is None or not subscriber.wants(run_id, record.partition):
        return None
    if is_stray(run_id, record.partition, partitions):
        return None
    return to_message(record)
