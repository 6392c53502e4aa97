"""
Bring dead letters from the table to their topic.

The table is the outbox: letters are in it with the batch they came in, and how far they are published is written down
after Kafka acknowledged them. So each comes to the topic at least once, those of a partition of the log in its order,
and nobody who folds waits for Kafka. One process of all materialisers does it, whichever holds the lease.
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


def addressed(letter: DeadLetter, *, whole: bool = True) -> Record:
    """Return the record that goes to the topic: the original, and in headers behind its own what became of it."""
    record = letter.record
    said = {
        "topic": letter.id.topic,
        "partition": str(letter.id.partition),
        "offset": str(letter.id.offset),
        "time": str(record.time_ms),  # ms, of the record in the log
        "kind": letter.kind,
        "reason": letter.reason,
    }
    if not whole:
        said["omitted"] = f"{len(record.value or b'')} bytes and headers, too many for here: see the table dead_letters"
        record = record._replace(key=(record.key or b"")[:MAX_KEY], value=b"", headers=())
    return record._replace(
        headers=record.headers + tuple((HEADER + name, text.encode()) for name, text in said.items())
    )


async def publish(settings: Settings, database: Database, consumer: str) -> NoReturn:
    """Publish what `consumer` parks, for ever. Outages wait, and nothing that happens here ends folding."""
    told = ""
    while True:
        writer = LogWriter(settings.need("kafka"), settings.dead_letter_topic, security_arguments(settings))
        try:
            async with Outbox.lease(database, consumer, settings.topic) as outbox:
                await _publish(outbox, writer)
        except (Unavailable, Refused) as error:
            if told != str(error):
                told = str(error)
                log.warning("dead letters wait in PostgreSQL: %s", error)
        except Exception:  # the letters are safe in their table; folding must not end for their copies
            log.exception("dead letters wait in PostgreSQL: unexpected error")
        await asyncio.sleep(RETRY_S)


async def _publish(outbox: Outbox, writer: LogWriter) -> NoReturn:
    width = 0  # of the topic; 0 until there is something to write, and somebody to connect for
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
        await writer.write(to, [addressed(letter) for letter in letters])
    except RecordTooLarge:  # one of them, or a batch of several: nothing tells which
        for letter in letters:
            await _publish_alone(writer, to, letter)
            await outbox.mark(partition, letter.id.offset + 1)  # or the next attempt would write it again
    await outbox.mark(partition, letters[-1].id.offset + 1)


async def _publish_alone(writer: LogWriter, to: int, letter: DeadLetter) -> None:
    try:
        await writer.write(to, [addressed(letter)])
    except RecordTooLarge as error:
        log.warning("dead letter %s is too large (%s): its bytes stay in PostgreSQL", letter.id, error)
        await writer.write(to, [addressed(letter, whole=False)])
