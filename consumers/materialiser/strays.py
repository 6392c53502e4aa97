"""
Append a copy of each stray record to the partition of its run.

A stray is a record of a run in another partition than that of the run, which happens after the topic got more
partitions. The copy has the same key, value and headers, and so the same identity: it is folded at its place in the
run's partition, once, however often it is copied. The offset of the original moves only after Kafka has acknowledged
the copy, so a worker that dies in between copies it again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from consumers.log.security import security_arguments
from consumers.log.writer import LogWriter
from schemas.errors import LogGap, LogUnavailable

if TYPE_CHECKING:
    from consumers.log.record import Record
    from schemas.runtime.settings import Settings

CopyStrays = Callable[[Mapping[int, Sequence["Record"]]], Awaitable[None]]

log = logging.getLogger(__name__)


async def leave_strays(strays: Mapping[int, Sequence[Record]]) -> None:
    """Copy nothing: for a worker that folds the log again, in which the copies are."""


def copy_below(below: Mapping[int, int], copy: CopyStrays) -> CopyStrays:
    """Return a function that copies only strays below these offsets of their partitions."""

    async def copy_some(strays: Mapping[int, Sequence[Record]]) -> None:
        old = {
            to: [record for record in records if record.offset < below.get(record.partition, 0)]
            for to, records in strays.items()
        }
        await copy({to: records for to, records in old.items() if records})

    return copy_some


class StrayCopier:
    """Copies strays, given by the partition of their runs. Connects at the first one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._writer: LogWriter | None = None
        self._width = 0  # partitions of the topic
        self._known: set[tuple[int, int]] = set()  # pairs of partitions whose strays are logged

    async def copy(self, strays: Mapping[int, Sequence[Record]]) -> None:
        """
        Return when Kafka has acknowledged a copy of each record.

        Raises LogUnavailable, after which all have to be copied again, and LogGap for a partition that does not exist.
        """
        try:
            for partition, records in strays.items():
                await (await self._opened(partition, records)).write(partition, list(map(_sendable, records)))
                self._report(partition, records)
        except LogUnavailable:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()

    async def _opened(self, partition: int, records: Sequence[Record]) -> LogWriter:
        if partition >= self._width:
            await self.close()  # the topic may have more partitions than when it was opened
        if self._writer is None:
            settings = self._settings
            self._writer = LogWriter(settings.need("kafka"), settings.topic, security_arguments(settings))
            self._width = await self._writer.open()
        if partition >= self._width:
            raise LogGap(
                f"{self._writer.topic} has {self._width} partitions, and run {(records[0].key or b'').decode()} is in "
                f"partition {partition}: it was created again with fewer; restore the old one, or start with an empty "
                "database"
            )
        return self._writer

    def _report(self, partition: int, records: Sequence[Record]) -> None:
        for pair in {(record.partition, partition) for record in records} - self._known:
            self._known.add(pair)
            log.info("copying records of runs of partition %s from partition %s to it", partition, pair[0])


def _sendable(record: Record) -> Record:
    """Return a record whose header names can be written: those that are not UTF-8 are escaped, none of them is ours."""
    names = [name.encode(errors="surrogateescape").decode(errors="backslashreplace") for name, _ in record.headers]
    return record._replace(headers=tuple((name, value) for name, (_, value) in zip(names, record.headers, strict=True)))
