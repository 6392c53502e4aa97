"""
The newest events, read once for everybody who watches.

One reader a process follows the log from its end. Events nobody waits for are not even decoded. Records that are no
events are passed over: the materialiser parks them. Positions move in the same step of the event loop in which the
events are published, so whoever reads both without awaiting in between sees no gap between them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from consumers.live.stream.messages import Message
from consumers.live.stream.subscribers import Subscribers
from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.watermarks import close_quietly
from schemas.errors import BadRecord, LogDamaged, LogGap, LogUnavailable
from schemas.wire import decode

FETCH_RECORDS = 100  # decoded in one go, about 10 ms of 1,000-point records; other requests are served in between
FETCH_WAIT_MS = 1_000
REOPEN_AFTER_S = 0.5


class Tail:
    """Follows the log from its end and publishes to subscribers, for ever."""

    def __init__(
        self, bootstrap: str, topic: str, subscribers: Subscribers, security: Mapping[str, Any] | None = None
    ) -> None:
        self.bootstrap = bootstrap
        self.topic = topic
        self.security = security
        self.positions: dict[int, int] = {}  # next offset to publish, by partition; {} until first connected
        self.problem = f"Kafka at {bootstrap} is not connected yet"
        self._subscribers = subscribers

    async def run(self) -> None:
        """Read until cancelled; outages are waited out, and reading goes on where it stopped."""
        while True:
            reader = LogReader(self.bootstrap, self.topic, self.security)
            try:
                await reader.open()
                self.positions = self.positions or await reader.end_offsets()
                await reader.assign(self.positions)
                await self._follow(reader)
            except LogUnavailable as error:
                self.problem = str(error)
            except (LogGap, LogDamaged) as error:
                # Created anew, deleted under us, or not to be read: every page starts afresh, from the log's end.
                self.problem = str(error)
                self.positions = {}
                self._subscribers.close()
            finally:
                await close_quietly(reader)
            await asyncio.sleep(REOPEN_AFTER_S)

    async def _follow(self, reader: LogReader) -> None:
        self.problem = ""
        while True:
            for record in await reader.fetch(timeout_ms=FETCH_WAIT_MS, max_records=FETCH_RECORDS):
                self._publish(record)
            await asyncio.sleep(0)

    def _publish(self, record: Record) -> None:
        run_id = key_text(record)
        if run_id is not None:
            self._subscribers.publish(run_id, record.partition, lambda: to_message(record))
        self.positions[record.partition] = record.offset + 1


def key_text(record: Record) -> str | None:
    """Return the record's key, the run id of an event; None when it is not text."""
    try:
        return record.key.decode() if record.key else None
    except UnicodeDecodeError:
        return None


def to_message(record: Record) -> Message | None:
    """Return the event of a record, None for a record that is not an event."""
    try:
        envelope = decode(record.key, record.value, record.headers)
    except BadRecord:
        return None
    return Message(envelope, record.partition, record.offset, len(record.value or b""))
