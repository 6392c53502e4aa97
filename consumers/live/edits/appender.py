"""
Append events to the log for requests that come at the same time, over one connection that opens with the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from consumers.log.record import Record
from consumers.log.writer import LogWriter, default_partition
from schemas.errors import LogUnavailable
from schemas.wire import EncodedRecord

TURN_S = 10.0  # the longest wait for the requests before: while the log is silent each of them takes as long

FindPartition = Callable[[Sequence[Record]], Awaitable[Mapping[str, int]]]
OpenWriter = Callable[[], LogWriter]


class Appender:
    """Appends records of one key each, acknowledged by all replicas. Used from one event loop."""

    def __init__(self, open_writer: OpenWriter, find_partition: FindPartition) -> None:
        """`find_partition` returns the partition of a key that has one: of a run that consumers have met."""
        self._open_writer, self._find_partition = open_writer, find_partition
        self._writer: LogWriter | None = None
        self._partitions = 0
        self._lock = asyncio.Lock()

    async def append(self, records: Sequence[EncodedRecord]) -> dict[int, int]:
        """
        Append records of one key; return their partition with the offset after the last of them.

        Raises LogUnavailable, after which the log may or may not have them: the same ones may be appended again.
        """
        await self._turn()
        try:
            writer = await self._opened()
            try:
                rows = [Record(writer.topic, 0, 0, one.key, one.value, tuple(one.headers), 0) for one in records]
                key = rows[0].key or b""
                known = await self._find_partition(rows[:1])
                partition = known.get(key.decode(), default_partition(key, self._partitions))
                return {partition: await writer.write(partition, rows)}
            except LogUnavailable:
                await self._close()
                raise
        finally:
            self._lock.release()

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(TURN_S):
                await self._lock.acquire()
        except TimeoutError:
            raise LogUnavailable(
                f"Kafka has not taken changes that came before: one waits at most {TURN_S:g} s"
            ) from None

    async def close(self) -> None:
        """Disconnect."""
        async with self._lock:
            await self._close()

    async def _opened(self) -> LogWriter:
        if self._writer is None:
            self._writer = self._open_writer()
            try:
                self._partitions = await self._writer.open()
            except BaseException:  # also of a request that was cancelled: the next one opens another writer
                await self._close()
                raise
        return self._writer

    async def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
