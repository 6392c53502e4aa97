"""
The tail of the log: the newest events, read once for all open streams.

One reader per process follows the log from its end. Events that no subscriber wants are not even decoded. Records that
are not events are skipped: the materialiser parks them. Strays are skipped too (consumers/store/run_partitions.py):
their copies come later, at their place in the order of the run. Positions move in the same step of the event loop in
which the events are published, so code that reads both without an await in between sees no gap between them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from consumers.live.stream.messages import key_text, to_message
from consumers.live.stream.recent import Recent
from consumers.live.stream.subscribers import Subscribers
from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.watermarks import close_quietly
from consumers.store.run_partitions import is_stray
from schemas.errors import LogDamaged, LogGap, LogUnavailable, StoreUnavailable

FETCH_RECORDS = 100  # decoded at once, about 10 ms for 1,000-point records; other requests are served in between
FETCH_WAIT_MS = 1_000
REOPEN_AFTER_S = 0.5
ANSWER_TIMEOUT_S = 1.0  # of PostgreSQL; without an answer strays are sent like other records
ASK_AGAIN_S = 5.0  # after PostgreSQL did not answer

AskPartitions = Callable[[Sequence[Record]], Awaitable[Mapping[str, int]]]


class Tail:
    """Follows the log from its end and publishes to subscribers, without end."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        subscribers: Subscribers,
        security: Mapping[str, Any] | None,
        ask_partitions: AskPartitions,
    ) -> None:
        """`ask_partitions` returns the partitions of the runs of some records, as far as they have one."""
        self.bootstrap = bootstrap
        self.topic = topic
        self.security = security
        self.positions: dict[int, int] = {}  # next offset to publish, by partition; {} until first connected
        self.problem = f"Kafka at {bootstrap} is not connected yet"
        self.recent = Recent()
        self._subscribers, self._ask_partitions = subscribers, ask_partitions
        self._ask_at = 0.0

    async def run(self) -> None:
        """Read until cancelled; outages are waited out, and reading resumes where it stopped."""
        while True:
            reader = LogReader(self.bootstrap, self.topic, self.security)
            try:
                await reader.open()
                if not self.positions:
                    self.positions = await reader.end_offsets()
                    self.recent.begin(self.positions)
                await reader.assign(self.positions)
                await self._follow(reader)
            except LogUnavailable as error:
                self.problem = str(error)
            except (LogGap, LogDamaged) as error:
                # The log was created again, deleted while we read, or is damaged: every page restarts at its end.
                self.problem = str(error)
                self.positions = {}
                self._subscribers.close()
            finally:
                await close_quietly(reader)
            await asyncio.sleep(REOPEN_AFTER_S)

    async def _follow(self, reader: LogReader) -> None:
        self.problem = ""
        while True:
            records = await reader.fetch(timeout_ms=FETCH_WAIT_MS, max_records=FETCH_RECORDS)
            partitions = await self.partitions(records) if len(self._subscribers) else {}
            self.recent.note(records)
            for record in records:
                self._publish(record, partitions)
            if added := reader.known_partitions() - self.positions.keys():  # the topic got more partitions
                self.positions.update(dict.fromkeys(added, 0))
                return
            await asyncio.sleep(0)

    async def partitions(self, records: Sequence[Record]) -> Mapping[str, int]:
        """Return the partitions of the runs of these records; {} while PostgreSQL is away."""
        if not records or time.monotonic() < self._ask_at:
            return {}
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._ask_partitions(records)
        except (StoreUnavailable, TimeoutError):
            self._ask_at = time.monotonic() + ASK_AGAIN_S
            return {}

    def _publish(self, record: Record, partitions: Mapping[str, int]) -> None:
        run_id = key_text(record)
        if run_id is not None and not is_stray(run_id, record.partition, partitions):
            self._subscribers.publish(run_id, record.partition, lambda: to_message(record))
        self.positions[record.partition] = record.offset + 1
