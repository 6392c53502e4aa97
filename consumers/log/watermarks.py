"""
The first and the next offset of each partition, asked on a separate connection.

A broker answers the requests of one connection in turn. The tail always has a request waiting for new records, so a
question on its connection would take half a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from consumers.log.reader import LogReader
from schemas.errors import LogUnavailable

ANSWER_TIMEOUT_S = 3.0
CLOSE_TIMEOUT_S = 2.0


class Bounds(NamedTuple):
    """First offset that the log holds, and offset of the next record, each by partition."""

    first: dict[int, int]
    end: dict[int, int]

    def behind(self, offsets: Mapping[int, int], partitions: Iterable[int] | None = None) -> dict[int, int]:
        """
        Return by partition how many records of the log a consumer at these offsets has not applied.

        Every partition counts, or these: one without an offset from its first record on. A log that ends before an
        offset is another log, of which nothing is applied: all of its records count. This is the only place that
        computes a lag, so every command, page and metric shows the same.
        """
        wanted = self.end if partitions is None else [part for part in partitions if part in self.end]
        return {part: self.end[part] - self._next(part, offsets.get(part)) for part in wanted}

    def _next(self, partition: int, offset: int | None) -> int:
        first, end = self.first.get(partition, 0), self.end[partition]
        return first if offset is None or offset > end else max(offset, first)


def has_reached(offsets: Mapping[int, int], end: Mapping[int, int]) -> bool:
    """Tell whether a reader at these offsets has read up to `end`, both by partition."""
    return all(offsets.get(partition, 0) >= offset for partition, offset in end.items())


class LogBounds:
    """Asks Kafka for its bounds. Connects at the first question, and again after an outage."""

    def __init__(self, bootstrap: str, topic: str, security: Mapping[str, Any] | None = None) -> None:
        self._bootstrap = bootstrap
        self._security = security
        self._topic = topic
        self._reader: LogReader | None = None
        self._one_at_a_time = asyncio.Lock()

    async def ask(self) -> Bounds:
        """Return the present bounds. Raises LogUnavailable, after ANSWER_TIMEOUT_S at the latest."""
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S), self._one_at_a_time:
                return await self._ask()
        except TimeoutError:
            await self.close()
            raise LogUnavailable(
                f"Kafka at {self._bootstrap} did not answer within {ANSWER_TIMEOUT_S:g} s: "
                "start it there, or correct GATEWAY_KAFKA"
            ) from None

    async def close(self) -> None:
        """Disconnect."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await close_quietly(reader)

    async def _ask(self) -> Bounds:
        if self._reader is None:
            self._reader = await _opened(self._bootstrap, self._topic, self._security)
        reader = self._reader
        questions: list[Callable[[], Awaitable[dict[int, int]]]] = [reader.beginning_offsets, reader.end_offsets]
        try:
            first, end = await asyncio.gather(*(question() for question in questions))
        except LogUnavailable:
            await self.close()
            raise
        return Bounds(first, end)


async def _opened(bootstrap: str, topic: str, security: Mapping[str, Any] | None) -> LogReader:
    reader = LogReader(bootstrap, topic, security)
    try:
        await reader.open()
    except BaseException:  # cancelled or failed: close what is half open, and pass the error on
        await close_quietly(reader)
        raise
    return reader


async def close_quietly(reader: LogReader) -> None:
    """Disconnect a reader; wait at most CLOSE_TIMEOUT_S for a broker that may be gone."""
    with suppress(TimeoutError, LogUnavailable):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await reader.close()
