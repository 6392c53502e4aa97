"""
Read the log a second time, for runs that are behind the partition offsets.

A run that was parked and is tried again, or that a replay chooses for a tracker that is further on, goes on exactly
where it stopped, while the first reading goes on for all others. When the second reading is where the first one is,
between two awaits, it hands the runs over: no record is missing and none comes twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from consumers.delivery.backfill.history import History
from consumers.delivery.flow.backlog import Backlog
from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.retry import RETRY_S
from schemas.errors import LogGap, LogUnavailable

log = logging.getLogger("consumers.delivery")

POLL_MS = 100
FETCH_RECORDS = 2_000


class CatchingUp:
    """The second reading: runs until cancelled, and reads only while a run is behind."""

    def __init__(
        self,
        open_reader: Callable[[], LogReader],
        backlog: Backlog,
        *,
        target: Callable[[int], int | None],
        is_full: Callable[[], bool],
        caught_up: Callable[[Sequence[str]], Awaitable[None]],
        gone: Callable[[Mapping[str, str]], Awaitable[None]],
        history: History,
    ) -> None:
        """
        Serve `backlog`; `target` says up to where a partition is to be read (None: for ever), `is_full` when to pause.

        `caught_up` is told which runs are behind no more, `gone` which can be had neither from the log nor from
        `history`, where runs are brought from that the log has not whole.
        """
        self._history = history
        history.on_left = self.call
        self._open_reader, self._backlog = open_reader, backlog
        self._target, self._is_full = target, is_full
        self._caught_up, self._gone = caught_up, gone
        self._called = asyncio.Event()
        self.positions: dict[int, int] = {}  # where it reads, by partition
        self.on_records: Callable[[], object] = lambda: None

    def call(self) -> None:
        """There are more runs that are behind: begin again at the one that is furthest behind."""
        self._called.set()
        self._history.call()

    async def run(self) -> None:
        """Serve until cancelled."""
        both = {asyncio.create_task(self._serve()), asyncio.create_task(self._history.run())}
        try:
            for task in (await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED))[0]:
                task.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _serve(self) -> None:
        while True:
            await self._called.wait()
            self._called.clear()
            if not self._backlog.behind():
                continue
            reader = self._open_reader()
            try:
                await reader.open()
                await self._read(reader)
            except (LogUnavailable, LogGap) as error:  # of a gap the next turn knows whose records it swallowed
                log.warning("%s: waiting for it", error)
                self._called.set()
                await asyncio.sleep(RETRY_S)
            finally:
                await reader.close()

    async def _read(self, reader: LogReader) -> None:
        first = await reader.beginning_offsets()
        if gone := await self._history.sort(first):
            await self._gone(gone)
        self.positions = {part: max(offset, first[part]) for part, offset in self._backlog.reading_starts().items()}
        if not self.positions:
            return
        await reader.assign(self.positions)
        while not self._called.is_set():
            await self._hand_over()
            if not self._backlog.reading_starts():
                return
            if self._is_full():
                await asyncio.sleep(POLL_MS / 1000)
                continue
            records = await reader.fetch(timeout_ms=POLL_MS, max_records=FETCH_RECORDS)
            if not self._called.is_set():  # else a run may want what lies before these
                self._take_in(records)

    def _take_in(self, records: Sequence[Record]) -> None:
        # Nothing is taken from beyond the first reading: it comes from there once more.
        wanted = [one for one in records if one.offset < self._bound(one.partition)]
        for one in records:
            self.positions[one.partition] = one.offset + 1
        self._backlog.take_in_again(wanted)
        if wanted:
            self.on_records()

    def _bound(self, partition: int) -> float:
        target = self._target(partition)
        return float("inf") if target is None else target

    async def _hand_over(self) -> None:
        done: list[str] = []
        for partition, position in self.positions.items():
            if position >= self._bound(partition):
                done += self._backlog.hand_over(partition)
        if done:
            await self._caught_up(done)
