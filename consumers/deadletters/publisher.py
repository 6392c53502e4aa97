"""
Publish dead letters from their table to their topic.

The table is the outbox: letters are stored with the batch that they came in, and how far they are published is recorded
after Kafka acknowledged them. So each letter reaches the topic at least once, those of one partition of the log in its
order, and folding never waits for Kafka. Of all materialisers only the process that holds the lease publishes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NoReturn

from consumers.log.record import Record
from consumers.log.security import security_arguments
from consumers.log.writer import LogWriter, RecordTooLarge
from consumers.store.dead_letters import DeadLetter, Outbox
from consumers.store.pool import Database
from schemas.errors import Refused, Unavailable

if TYPE_CHECKING:
    from schemas.runtime.settings import Settings

POLL_S = 0.5
RETRY_S = 1.0
ROUND_RECORDS, ROUND_BYTES = 500, 1024 * 1024  # read and written at once
HEADER = "dead_letter_"
MAX_KEY = 1_024  # bytes, where the record as a whole is too large

log = logging.getLogger(__name__)


def to_record(letter: DeadLetter, *, with_value: bool = True) -> Record:
    """Return the record for the topic: the original, with headers added that say where and why it was parked."""
    record = letter.record
    headers = {
        "topic": letter.id.topic,
        "partition": str(letter.id.partition),
        "offset": str(letter.id.offset),
        "time": str(record.time_ms),  # ms, of the record in the log
        "kind": letter.kind,
        "reason": letter.reason,
    }
    if not with_value:
        size = len(record.value or b"")
        headers["omitted"] = f"{size} bytes and headers, too many for here: see the table dead_letters"
        record = record._replace(key=(record.key or b"")[:MAX_KEY], value=b"", headers=())
    return record._replace(
        headers=record.headers + tuple((HEADER + name, text.encode()) for name, text in headers.items())
    )


async def publish(settings: Settings, database: Database, consumer: str) -> NoReturn:
    """Publish what `consumer` parks, without end. Outages are waited out, and no error here ends folding."""
    reported = ""
    while True:
        writer = LogWriter(settings.need("kafka"), settings.dead_letter_topic, security_arguments(settings))
        try:
            async with Outbox.lease(database, consumer, settings.topic) as outbox:
                await _publish(outbox, writer)
        except (Unavailable, Refused) as error:
            if reported != str(error):
                reported = str(error)
                log.warning("dead letters wait in PostgreSQL: %s", error)
        except Exception:  # the letters are safe in their table; folding must not end for their copies
            log.exception("dead letters wait in PostgreSQL: unexpected error")
        await asyncio.sleep(RETRY_S)


async def _publish(outbox: Outbox, writer: LogWriter) -> NoReturn:
    width = 0  # partitions of the topic; 0 until the first letter, because only then it is worth connecting
    try:
        while True:
            waiting = await outbox.partitions()
            if waiting and not width:
                width = await writer.open()
            for partition, offset in waiting.items():
                await _publish_round(outbox, writer, partition, offset, width)
            if not waiting:
                await asyncio.sleep(POLL_S)
    finally:
        await writer.close()


async def _publish_round(outbox: Outbox, writer: LogWriter, partition: int, offset: int, width: int) -> None:
    letters = await outbox.following(partition, offset, max_records=ROUND_RECORDS, max_bytes=ROUND_BYTES)
    to = partition % width
    try:
        await writer.write(to, [to_record(letter) for letter in letters])
    except RecordTooLarge:  # one of them, or the whole batch: nothing says which
        for letter in letters:
            await _publish_alone(writer, to, letter)
            await outbox.mark(partition, letter.id.offset + 1)  # otherwise the next attempt would write it again
    await outbox.mark(partition, letters[-1].id.offset + 1)


async def _publish_alone(writer: LogWriter, to: int, letter: DeadLetter) -> None:
    try:
        await writer.write(to, [to_record(letter)])
    except RecordTooLarge as error:
        log.warning("dead letter %s is too large (%s): its bytes stay in PostgreSQL", letter.id, error)
        await writer.write(to, [to_record(letter, with_value=False)])
