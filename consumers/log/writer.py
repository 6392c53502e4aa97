"""
Write dead letters, records that are replayed from them, and what clients of the API change, to Kafka.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner

from consumers.log.record import Record
from consumers.log.topics import CLOSE_TIMEOUT_S, REQUEST_TIMEOUT_S, translated
from schemas.errors import LogUnavailable, Refused

WRITTEN_BATCH_BYTES = 512 * 1024  # a request carries one batch for each partition


_partition = DefaultPartitioner()


def default_partition(key: bytes, partitions: int) -> int:
    """Return the partition of a key in a topic of so many partitions: Kafka's own default, as producers use it."""
    numbers = list(range(partitions))
    return int(_partition(key, numbers, numbers))


class RecordTooLarge(Refused):
    """The topic takes no record of this size."""


class LogWriter:
    """
    Writes records to chosen partitions of one topic, in order, each acknowledged by all replicas.

    A failed write may have arrived, so a caller that writes again writes at least once. One task at a time.
    """

    def __init__(self, bootstrap: str, topic: str, security: Mapping[str, Any] | None = None) -> None:
        """Write to `topic`; `security` is the result of security_arguments(), None for a plain connection."""
        self.topic = topic
        self._bootstrap = bootstrap
        self._security = dict(security or {})
        self._producer: Any = None

    async def open(self) -> int:
        """Connect and return the number of partitions. Raises LogUnavailable. Call `close` even if this raises."""
        self._producer = AIOKafkaProducer(
            **self._security,
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            compression_type="zstd",
            max_batch_size=WRITTEN_BATCH_BYTES,
            request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
        )
        async with translated(self._bootstrap):
            await asyncio.wait_for(self._producer.start(), REQUEST_TIMEOUT_S)
            return len(await asyncio.wait_for(self._producer.partitions_for(self.topic), REQUEST_TIMEOUT_S))

    async def write(self, partition: int, records: Sequence[Record]) -> int:
        """
        Write keys, values and headers of records; return the offset after the last one, once all are acknowledged.

        Raises LogUnavailable, after which this writer must be closed, and RecordTooLarge for one record or a few of
        the same batch: the records before them are written, those after them are not.
        """
        batch, following = self._producer.create_batch(), 0
        for record in records:
            if not _append(batch, record):
                following = await self._send(batch, partition)
                batch = self._producer.create_batch()
                _append(batch, record)  # the first record of a batch always fits
        if batch.record_count():
            following = await self._send(batch, partition)
        return following

    async def _send(self, batch: Any, partition: int) -> int:
        batch.close()
        try:
            async with translated(self._bootstrap):
                sent = await asyncio.wait_for(
                    self._producer.send_batch(batch, self.topic, partition=partition), REQUEST_TIMEOUT_S
                )
                stored = await asyncio.wait_for(sent, REQUEST_TIMEOUT_S)
                return int(stored.offset) + int(batch.record_count())
        except LogUnavailable as error:
            if isinstance(error.__cause__, MessageSizeTooLargeError):
                raise RecordTooLarge(
                    f"{self.topic} takes no records of this size: raise its max.message.bytes"
                ) from error
            raise

    async def close(self) -> None:
        """Disconnect at once, without waiting for records in flight."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # The sender first: stop() would wait for records in flight, which never expire with idempotence.
        if producer._sender.sender_task is not None:
            producer._sender.sender_task.cancel()
        with suppress(KafkaError, OSError, TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(producer.stop(), CLOSE_TIMEOUT_S)


def _append(batch: Any, record: Record) -> bool:
    added = batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
    return added is not None
