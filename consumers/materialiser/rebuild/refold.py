"""
Fold the log into new tables: up to the live workers' offsets, never further, and never across a gap.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol

from consumers.log.reader import lost_offsets, shorter_log
from consumers.log.retry import until_available
from consumers.store.maintenance.rebuild import Busy
from schemas.errors import LogGap, LogShorter, StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from consumers.log.reader import LogReader
    from consumers.materialiser.worker import Worker
    from consumers.store.maintenance.rebuild import Rebuilding

BATCH_RECORDS = 2_000  # in one transaction; the reader itself holds 4 MiB per partition
FETCH_MS = 1_000
NEAR_RECORDS = 2_000  # folded at most while the live workers wait: takes well below a second


class Console(Protocol):
    """Display of a rebuild's progress."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how much of `what` is done, in records or tables."""

    def notice(self, line: str) -> None:
        """Show one line of text."""


class Refold:
    """A worker that folds the log into the new tables, and how far it is."""

    def __init__(
        self, tables: Rebuilding, reader: LogReader, worker: Worker, console: Console, *, offsets: dict[int, int]
    ) -> None:
        self.offsets = offsets
        self.seconds = 0.0
        self._tables, self._reader, self._worker, self._console = tables, reader, worker, console
        self._start = sum(offsets.values())
        self._points = -1

    @property
    def records(self) -> int:
        """Number of records that this process has folded."""
        return sum(self.offsets.values()) - self._start

    async def points(self) -> int:
        """Return how many points this process has folded."""
        return await self._tables.side_points() - self._points

    def left(self, live: Mapping[int, int]) -> int:
        """Return how many records the live workers are ahead."""
        return sum(max(0, offset - self.offsets.get(partition, 0)) for partition, offset in live.items())

    async def catch_up(self) -> None:
        """Fold until the live workers are at most NEAR_RECORDS ahead."""
        if self._points < 0:
            self._points = await self._tables.side_points()
        while True:
            live = await self._tables.offsets()
            if not self.left(live):
                return
            started = time.monotonic()
            await until_available(partial(self._fold_or_refuse, live), self._console.notice)
            self.seconds += time.monotonic() - started
            if self.left(await self._tables.offsets()) <= NEAR_RECORDS:
                return

    async def _fold_or_refuse(self, target: Mapping[int, int]) -> None:
        try:
            await self.fold_to(target)
        except StoreUnavailable as error:  # the worker itself waits for PostgreSQL: here a connection was lost
            raise StoreRefused(f"{error}; run `gateway rebuild` again: it resumes where it stopped") from error

    async def fold_to(self, target: Mapping[int, int], *, within_s: float | None = None) -> None:
        """
        Fold every record below these offsets, and none above.

        Waits for Kafka without a limit, or raises Busy when it is not done within `within_s` seconds.
        """
        deadline = None if within_s is None else time.monotonic() + within_s
        assigned: set[int] = set()
        total = sum(target.values())
        if not target.keys() <= self.offsets.keys():  # the topic got more partitions
            self.offsets.update(await self._worker.assign([*self.offsets, *target]))
        while wanted := {p: self.offsets[p] for p, offset in target.items() if self.offsets[p] < offset}:
            if deadline is not None and time.monotonic() > deadline:
                raise Busy("the log is slow")
            if wanted.keys() != assigned:  # leave out partitions that are done, so that nothing is read in vain
                await self._reader.assign(wanted)
                assigned = set(wanted)
            records = await self._reader.fetch(timeout_ms=FETCH_MS, max_records=BATCH_RECORDS)
            mine = [record for record in records if record.offset < target[record.partition]]
            if mine:
                await self._worker.apply(mine)
                self.offsets.update({record.partition: record.offset + 1 for record in mine})
            self._console.progress("folding", sum(self.offsets.values()), max(total, 1))


async def check_log(reader: LogReader, wanted: Mapping[int, int], live: Mapping[int, int]) -> None:
    """Raise LogGap naming the offsets that are gone, unless the log has everything from `wanted` to `live`."""
    first, end = await reader.beginning_offsets(), await reader.end_offsets()
    if gone := lost_offsets({partition: wanted.get(partition, 0) for partition in first}, first):
        raise LogGap(
            f"{reader.topic}: {gone} are gone from the log, and the rebuild needs them: restore them from a backup of "
            "it. Nothing was changed"
        )
    if problem := shorter_log(reader.topic, live, end, "the materialiser"):
        raise LogShorter(f"{problem}. Nothing was changed")
