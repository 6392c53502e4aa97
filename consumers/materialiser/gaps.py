"""
Classify an offset gap: a deleted start of the log, records lost in transit, or a sparse transactional topic.

If the log was replaced by a shorter one (the topic was created again, restored from an older copy, or truncated in an
election of a leader that lacked records), its new records get offsets that were applied before, and would be skipped.
If the start of the log was deleted before the worker read it, events are lost, and processing must not continue as if
they were not. If records were lost on their way to this process, it must read them again. Otherwise nothing is missing:
a topic that transactions wrote to may have sparse offsets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from consumers.log.reader import check_length, lost_offsets
from schemas.errors import LogGap, LogShorter, LogUnavailable, TrackingError

if TYPE_CHECKING:
    from consumers.log.watermarks import Bounds

READER = "the materialiser"
CHECK_INTERVAL_S = 1.0
CHECKS = 4  # by then every record that was fetched before the deletion has long been handed to the worker


class RecordsSkipped(TrackingError):
    """A record arrived whose predecessors were not seen: reading must restart from the store's offset."""


class OffsetGap(NamedTuple):
    """A record that does not have the next offset of its partition."""

    topic: str
    partition: int
    expected: int
    found: int
    is_first: bool  # the first record of the partition since this process started


GapPolicy = Callable[[OffsetGap], Awaitable[None]]


async def allow_gaps(gap: OffsetGap) -> None:
    """Allow every gap: for a reader that raises LogGap itself and loses nothing in transit."""


def strict_gap_policy(first_offsets: Callable[[], Awaitable[Mapping[int, int]]]) -> GapPolicy:
    """
    Return a policy that allows a gap only when nothing can be lost; `first_offsets` gives the start of the log.

    The policy raises LogGap naming the offsets that are gone, or RecordsSkipped. The first record of a partition may
    have a gap: after a fresh start the log itself says that nothing lies between.
    """

    async def check(gap: OffsetGap) -> None:
        check_start(gap.topic, {gap.partition: gap.expected}, await first_offsets())
        if not gap.is_first:
            raise RecordsSkipped(f"{gap.topic}/{gap.partition} went from {gap.expected} to {gap.found}")

    return check


async def watch_for_gap(
    topic: str,
    ask: Callable[[], Awaitable[Bounds]],
    positions: Callable[[], Mapping[int, int]],
    is_idle: Callable[[], bool],
    interval_s: float = CHECK_INTERVAL_S,
) -> LogGap:
    """
    Return a LogGap that no record reveals: the rest of a partition is gone, or the log was replaced by a shorter one.

    The first is certain once the worker stays before the start of the log while it may read and holds no records. The
    second is certain once several answers agree: an end may be out of date while a broker becomes the leader.
    """
    last: Mapping[int, int] = {}
    times = 0
    while True:
        await asyncio.sleep(interval_s)
        with suppress(LogUnavailable):
            applied = positions()  # before the question: the log grows
            bounds = await ask()
            now = positions()
            try:
                check_start(topic, now, bounds.first)
                check_length(topic, applied, bounds.end, READER)
                times = 0
            except LogShorter as gap:
                times += 1
                if times == CHECKS:
                    return gap
            except LogGap as gap:
                times = times + 1 if is_idle() and now == last else 0
                if times == CHECKS:
                    return gap
            last = now


def check_start(topic: str, wanted: Mapping[int, int], first: Mapping[int, int]) -> None:
    """Raise LogGap when the log starts after offsets that the materialiser still needs."""
    if gone := lost_offsets(wanted, first):
        short = sorted(part for part, offset in wanted.items() if first.get(part, 0) > offset)
        rows = ", ".join(f"{first[part]} (partition {part})" for part in short)
        raise LogGap(
            f"{topic}: {gone} are gone from the log before they were folded: restore them, or accept the loss by "
            f"moving the materialiser's rows in consumer_offsets to {rows}"
        )
