"""
Decide what it means that the next record has not the next offset.

Either the start of the log was deleted under the worker: then events are lost, and nobody may go on as if they were
not. Or records got lost on their way to this process: then it must read them again. Or nothing is missing: offsets may
be sparse in a topic that transactions wrote to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from consumers.log.reader import lost_offsets
from schemas.errors import LogGap, LogUnavailable, TrackingError

if TYPE_CHECKING:
    from consumers.log.watermarks import Bounds

LOOK_S = 1.0
LOOKS = 4  # what was fetched before the deletion has long been handed over by then


class RecordsSkipped(TrackingError):
    """A record came whose predecessors were not seen: reading must start again from the store's offset."""


class OffsetGap(NamedTuple):
    """A record that is not the next one of its partition."""

    topic: str
    partition: int
    expected: int
    found: int
    is_first: bool  # of the partition since the start of this process


GapPolicy = Callable[[OffsetGap], Awaitable[None]]


async def allow_gaps(jump: OffsetGap) -> None:
    """Allow every jump: for a reader that raises LogGap itself and loses nothing on the way."""


def strict_gap_policy(first_offsets: Callable[[], Awaitable[Mapping[int, int]]]) -> GapPolicy:
    """
    Return what allows a jump only when nothing can be lost; `first_offsets` asks where the log begins.

    It raises LogGap naming the offsets that are gone, or LogJumped: after a fresh start the log itself says that
    nothing is between, so the first record of a partition may jump.
    """

    async def gap_policy(jump: OffsetGap) -> None:
        check_gap(jump.topic, {jump.partition: jump.expected}, await first_offsets())
        if not jump.is_first:
            raise RecordsSkipped(f"{jump.topic}/{jump.partition} went from {jump.expected} to {jump.found}")

    return gap_policy


async def watch_for_gap(
    topic: str,
    ask: Callable[[], Awaitable[Bounds]],
    positions: Callable[[], Mapping[int, int]],
    is_idle: Callable[[], bool],
) -> LogGap:
    """
    Return a LogGap that no record shows: the rest of a partition is gone, and nothing new comes.

    It is certain when the worker stays before the start of the log while it reads freely and holds nothing.
    """
    seen: Mapping[int, int] = {}
    times = 0
    while True:
        await asyncio.sleep(LOOK_S)
        with suppress(LogUnavailable):
            first, at = (await ask()).first, positions()
            try:
                check_gap(topic, at, first)
                times = 0
            except LogGap as gap:
                times = times + 1 if is_idle() and at == seen else 0
                if times == LOOKS:
                    return gap
            seen = at


def check_gap(topic: str, wanted: Mapping[int, int], first: Mapping[int, int]) -> None:
    """Raise LogGap when the log begins behind offsets that the materialiser still needs."""
    if gone := lost_offsets(wanted, first):
        behind = sorted(part for part, offset in wanted.items() if first.get(part, 0) > offset)
        rows = ", ".join(f"{first[part]} (partition {part})" for part in behind)
        raise LogGap(
            f"{topic}: {gone} are gone from the log before they were folded: restore them, or accept the loss by "
            f"moving the materialiser's rows in consumer_offsets to {rows}"
        )
