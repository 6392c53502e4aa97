"""
Read the log a second time, for runs that are behind the partition offsets.

A run continues exactly where it stopped when it was parked and is retried, or when a replay chooses it for a tracker
that is further ahead. The first reader continues for all other runs. When the second reader has reached the offset of
the first one, it hands its runs over, without an await in between: no record is missing and none is delivered twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from consumers.delivery.backfill.history import History
from consumers.delivery.backfill.reread import Rereads
from consumers.delivery.background import cancel_all
from consumers.delivery.flow.backlog import Backlog
from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.retry import RETRY_S
from consumers.store.run_partitions import RunPartitions
from schemas.errors import LogDamaged, LogGap, LogShorter, LogUnavailable

log = logging.getLogger("consumers.delivery")

POLL_MS = 100  # idle wait of a reader; a record that arrives ends it immediately
FETCH_RECORDS = 2_000


class CatchUp:
    """The second reader: runs until cancelled, and reads only while a run needs it."""

    def __init__(
        self,
        open_reader: Callable[[], LogReader],
        backlog: Backlog,
        rereads: Rereads,
        history: History,
        run_partitions: RunPartitions,
        *,
        target: Callable[[int], int | None],
        on_records: Callable[[], object],
        has_end: bool,
    ) -> None:
        """
        Serve `backlog`; `target` returns the offset up to which a partition is read (None: no end).

        `history` serves runs whose records Kafka has deleted. `on_records` is called when records were queued. If a
        batch cannot be read, the runs of its partition wait; work that has an end raises LogDamaged instead.
        """
        self._has_end = has_end
        self._open_reader, self._backlog, self._rereads, self._history = open_reader, backlog, rereads, history
        self._run_partitions, self._target, self._on_records = run_partitions, target, on_records
        self.positions: dict[int, int] = {}  # next offset by partition

    async def run(self) -> None:
        """Serve until cancelled."""
        both = {asyncio.create_task(self._serve()), asyncio.create_task(self._history.run())}
        try:
            for task in (await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED))[0]:
                task.result()
        finally:
            await cancel_all(both)

    async def _serve(self) -> None:
        requested = self._rereads.catch_up_requested
        while True:
            await requested.wait()
            requested.clear()
            if not self._backlog.has_rereads:
                continue
            reader = self._open_reader()
            try:
                await reader.open()
                await self._read(reader)
            except LogShorter:
                raise
            except (LogUnavailable, LogGap) as error:  # after a gap, the next turn finds the runs it affects
                log.warning("%s: waiting for it", error)
                requested.set()
                await asyncio.sleep(RETRY_S)
            finally:
                await reader.close()

    async def _read(self, reader: LogReader) -> None:
        requested = self._rereads.catch_up_requested
        first = await reader.beginning_offsets()
        if hopeless := await self._history.take_incomplete(first):
            await self._rereads.park(hopeless)
        self.positions = {part: max(offset, first[part]) for part, offset in self._backlog.reread_starts().items()}
        if not self.positions:
            return
        await reader.assign(self.positions)
        while not requested.is_set():
            await self._hand_over()
            if not self._backlog.reread_starts():
                return
            if self._backlog.is_full:
                await asyncio.sleep(POLL_MS / 1000)
                continue
            try:
                records = await reader.fetch(timeout_ms=POLL_MS, max_records=FETCH_RECORDS)
            except LogDamaged as error:
                if self._has_end:
                    raise
                log.warning("%s. Runs of other partitions continue", error)
                reader.set_aside(error.partition)
                continue
            partitions = await self._run_partitions.of_records(records, claim=True)
            if not requested.is_set():  # otherwise a run may need records before these
                self._add(records, partitions)

    def _add(self, records: Sequence[Record], partitions: Mapping[str, int]) -> None:
        # Records beyond the first reader are skipped: that one supplies them.
        wanted = [one for one in records if one.offset < self._bound(one.partition)]
        for one in records:
            self.positions[one.partition] = one.offset + 1
        self._backlog.add_reread(wanted, partitions)
        if wanted:
            self._on_records()

    def _bound(self, partition: int) -> float:
        target = self._target(partition)
        return float("inf") if target is None else target

    async def _hand_over(self) -> None:
        done: list[str] = []
        for partition, position in self.positions.items():
            if position >= self._bound(partition):
                done += self._backlog.hand_over(partition)
        if done:
            await self._rereads.mark_caught_up(done)
