"""
The log on its way into tables beside the live ones: up to the live workers' offsets, never further, over no gap.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from consumers.log.reader import lost_offsets
from consumers.log.retry import until_available
from consumers.store.maintenance.rebuild import Busy
from schemas.errors import LogGap, StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from consumers.log.reader import LogReader
    from consumers.materialiser.worker import Worker
    from consumers.store.maintenance.rebuild import Rebuilding

BATCH_RECORDS = 2_000  # in one transaction; the reader itself holds 4 MiB a partition
FETCH_MS = 1_000
NEAR_RECORDS = 2_000  # so few are folded while the live workers wait: well below a second


class Console(Protocol):
    """Who watches a rebuild."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Take how far it is, in records or tables."""

    def say(self, line: str) -> None:
        """Take one line for people."""


class Refold:
    """The log on its way into the tables beside."""

    def __init__(
        self, place: Rebuilding, reader: LogReader, worker: Worker, console: Console, *, offsets: dict[int, int]
    ) -> None:
        self.offsets = offsets
        self.seconds = 0.0
        self._place, self._reader, self._worker, self._console = place, reader, worker, console
        self._begun = sum(offsets.values())
        self._points = -1

    @property
    def records(self) -> int:
        """How many records were folded by this process."""
        return sum(self.offsets.values()) - self._begun

    async def points(self) -> int:
        """Return how many points were folded by this process."""
        return await self._place.side_points() - self._points

    def left(self, live: Mapping[int, int]) -> int:
        """Return how many records are between this and the live workers."""
        return sum(max(0, offset - self.offsets.get(partition, 0)) for partition, offset in live.items())

    async def catch_up(self) -> None:
        """Fold until the live workers are near."""
        if self._points < 0:
            self._points = await self._place.side_points()
        while True:
            live = await self._place.offsets()
            if not self.left(live):
                return
            started = time.monotonic()
            await until_available(partial(self._fold_on, live), self._console.say)
            self.seconds += time.monotonic() - started
            if self.left(await self._place.offsets()) <= NEAR_RECORDS:
                return

    async def _fold_on(self, target: Mapping[int, int]) -> None:
        try:
            await self.fold_to(target)
        except StoreUnavailable as error:  # the worker waits for PostgreSQL itself: this is the end of a connection
            raise StoreRefused(f"{error}; run `gateway rebuild` again: it goes on where it was") from error

    async def fold_to(self, target: Mapping[int, int], *, within_s: float | None = None) -> None:
        """
        Fold every record below these offsets, and none above.

        Waits for Kafka for ever, or raises Busy when it did not come to the end `within_s`.
        """
        deadline = None if within_s is None else time.monotonic() + within_s
        assigned: set[int] = set()
        total = sum(target.values())
        while wanted := {p: self.offsets[p] for p, offset in target.items() if self.offsets[p] < offset}:
            if deadline is not None and time.monotonic() > deadline:
                raise Busy("the log is slow")
            if wanted.keys() != assigned:  # without those that are done: nothing is read in vain
                await self._reader.assign(wanted)
                assigned = set(wanted)
            records = await self._reader.fetch(timeout_ms=FETCH_MS, max_records=BATCH_RECORDS)
            mine = [record for record in records if record.offset < target[record.partition]]
            if mine:
                await self._worker.apply(mine)
                self.offsets.update({record.partition: record.offset + 1 for record in mine})
            self._console.progress("folding", sum(self.offsets.values()), max(total, 1))


async def refuse_gaps(reader: LogReader, wanted: Mapping[int, int], live: Mapping[int, int]) -> None:
    """Raise LogGap, naming every offset that is gone, unless the log holds all from `wanted` to `live`."""
    first, end = await reader.beginning_offsets(), await reader.end_offsets()
    if gone := lost_offsets({partition: wanted.get(partition, 0) for partition in first}, first):
        raise LogGap(
            f"{reader.topic}: {gone} are gone from the log, and the rebuild needs them: restore them from a backup of "
            "it. Nothing was changed"
        )
    short = {partition: offset for partition, offset in live.items() if offset > end.get(partition, 0)}
    if short:
        partition, offset = min(short.items())
        raise LogGap(
            f"{reader.topic}, partition {partition}: PostgreSQL is folded up to offset {offset} and the log ends at "
            f"{end.get(partition, 0)}: it was created anew; bring back the old one. Nothing was changed"
        )
