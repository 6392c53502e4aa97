"""
Read the log, and write dead letters: with log_batches.py the only file of this side that knows aiokafka.

A reader is told where to start, partition by partition, because a consumer's truth is the offset it keeps in
PostgreSQL beside its data. There is no consumer group and no commit to Kafka: each delivery is one process that reads
every partition, and the materialiser has Faust. Nothing skips silently: an offset that the log no longer holds is a
LogGap, never a jump to the earliest or latest record.

Outages: `fetch` returns nothing while Kafka is away and goes on when it is back; everything that asks Kafka a
question raises LogUnavailable.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, NoOffsetForPartitionError, OffsetOutOfRangeError

from consumers.log.record_parser import read_any_header_name
from schemas.errors import BadSettings, LogGap, LogUnavailable, Refused

if TYPE_CHECKING:
    from schemas.runtime.settings import Settings

REQUEST_TIMEOUT_S = 10.0
MAX_MESSAGE_BYTES = 2 * 1024 * 1024  # twice schemas.wire.MAX_VALUE: key, headers and framing fit for certain
CLOSE_TIMEOUT_S = 2.0
WRITTEN_BATCH_BYTES = 512 * 1024  # one request carries one batch a partition
_TOPIC_EXISTS = 36  # Kafka's error code TOPIC_ALREADY_EXISTS
_HEALS = (5, 7, 13, 14, 41)  # no leader, timed out, network, coordinator loading, not the controller


class Record(NamedTuple):
    """One record as it lies in the log."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    time_ms: int  # the record's Kafka timestamp, ms since 1970-01-01 UTC


@asynccontextmanager
async def _translated(bootstrap: str) -> AsyncIterator[None]:
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(
            f"Kafka at {bootstrap} cannot be reached ({error or type(error).__name__}): "
            "start it there, or correct GATEWAY_KAFKA"
        ) from error


def is_outage(error: BaseException | None) -> bool:
    """Tell whether an error that came through another library says that Kafka is away."""
    return isinstance(error, KafkaError | LogUnavailable | ConnectionError | TimeoutError)


def lost_offsets(wanted: Mapping[int, int], first: Mapping[int, int]) -> str:
    """Name the offsets from `wanted` on that a log beginning at `first` holds no more, by partition; '' if none."""
    return " and ".join(
        f"offsets {offset} to {first[partition] - 1} of partition {partition}"
        for partition, offset in sorted(wanted.items())
        if first.get(partition, 0) > offset
    )


def security_arguments(settings: Settings) -> dict[str, Any]:
    """Return how aiokafka is to speak to the brokers. Raises BadSettings naming a file that cannot be used."""
    found: dict[str, Any] = {"security_protocol": settings.kafka_security}
    if settings.kafka_security.endswith("SSL"):
        found["ssl_context"] = _trust(settings)
    if settings.kafka_security.startswith("SASL"):
        found["sasl_mechanism"] = settings.kafka_sasl_mechanism
        found["sasl_plain_username"] = settings.kafka_sasl_user
        found["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return found


def _trust(settings: Settings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca)
    except OSError as error:  # ssl.SSLError is one
        raise BadSettings(
            f"setting kafka_ca {settings.kafka_ca} cannot be used ({error}): name a PEM file of certificates"
        ) from error
    if settings.kafka_cert is not None:
        try:
            context.load_cert_chain(settings.kafka_cert, settings.kafka_key)
        except OSError as error:
            raise BadSettings(
                f"settings kafka_cert {settings.kafka_cert} and kafka_key {settings.kafka_key} cannot be used "
                f"({error}): name PEM files that belong together"
            ) from error
    return context


async def _whole(start: Coroutine[Any, Any, None]) -> None:
    """Await it, and when cancelled let it end first: aiokafka leaves a connection open when its start is cut off."""
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.shield(starting)
    finally:
        if not starting.done():
            await asyncio.wait({starting}, timeout=CLOSE_TIMEOUT_S)
            starting.cancel()


def _admin(bootstrap: str, security: Mapping[str, Any]) -> Any:
    return AIOKafkaAdminClient(
        **security, bootstrap_servers=bootstrap, request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000)
    )


async def ensure_topics(settings: Settings) -> None:
    """
    Create the log and the topic of dead letters where they are missing; topics that exist stay as they are.

    Raises LogUnavailable, and Refused when the brokers will not create them.
    """
    config = {"retention.ms": "-1", "max.message.bytes": str(MAX_MESSAGE_BYTES)}
    # The brokers' clock in the log, the producers' in the events: how late a reader is, and whose clock is wrong.
    arrival = {**config, "message.timestamp.type": "LogAppendTime"}
    topics = [
        NewTopic(settings.topic, settings.partitions, settings.replication, topic_configs=arrival),
        NewTopic(settings.dead_letter_topic, 1, settings.replication, topic_configs=config),
    ]
    bootstrap = settings.need("kafka")
    admin = _admin(bootstrap, security_arguments(settings))
    try:
        async with _translated(bootstrap):
            await asyncio.wait_for(_whole(admin.start()), REQUEST_TIMEOUT_S)
            answer = await asyncio.wait_for(admin.create_topics(topics), REQUEST_TIMEOUT_S)
    finally:
        await admin.close()
    for name, code, message in (entry[:3] for entry in answer.topic_errors):
        if code in _HEALS:
            raise LogUnavailable(f"Kafka at {bootstrap} cannot create {name} now ({message or code})")
        if code not in (0, _TOPIC_EXISTS):
            raise Refused(f"Kafka at {bootstrap} will not create {name} ({message or code}): create it by hand")


class LogReader:
    """
    Records of one topic from explicit offsets.

    One task at a time calls `fetch`; the questions (`partitions`, `end_offsets`, ...) may be asked beside it.
    """

    def __init__(self, bootstrap: str, topic: str, security: Mapping[str, Any] | None = None) -> None:
        """Read `topic`; `security` is what security_arguments() returned, nothing for a plain connection."""
        security = security or {}
        read_any_header_name()
        self.topic = topic
        self._bootstrap = bootstrap
        self._assigned: list[int] = []
        self._consumer = AIOKafkaConsumer(
            **security,
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=500,  # the broker answers at once when there is a byte; this only bounds idle requests
            max_partition_fetch_bytes=4 * 1024 * 1024,
            request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
        )
        # The consumer's own `topics()` and `partitions_for_topic()` only know topics it is assigned to.
        self._admin = _admin(bootstrap, security)

    async def open(self) -> None:
        """Connect. Raises LogUnavailable; `close` is due all the same."""
        async with _translated(self._bootstrap):
            await _whole(self._consumer.start())
            await _whole(self._admin.start())

    async def close(self) -> None:
        """Disconnect; nothing is committed anywhere."""
        await self._consumer.stop()
        await self._admin.close()

    async def partitions(self) -> list[int]:
        """Return the partitions of the topic. Raises LogUnavailable, also while the topic is missing."""
        async with _translated(self._bootstrap):
            (found,) = await asyncio.wait_for(self._admin.describe_topics([self.topic]), REQUEST_TIMEOUT_S)
        if not found["partitions"]:
            raise LogUnavailable(f"Kafka at {self._bootstrap} has no topic {self.topic}: start the materialiser")
        return sorted(part["partition"] for part in found["partitions"])

    async def assign(self, offsets: Mapping[int, int]) -> None:
        """
        Read on from these offsets, by partition; replaces what was assigned.

        Raises LogGap when the log does not reach back, or not forward, to one of them.
        """
        first, end = await self._bounds(list(offsets))
        if gone := lost_offsets(offsets, first):
            raise LogGap(f"{self.topic}: {gone} are gone from the log: restore them from a backup of it")
        for partition, offset in offsets.items():
            if offset > end[partition]:
                raise LogGap(
                    f"{self.topic}, partition {partition}: offset {offset} is wanted and the log ends at "
                    f"{end[partition]}: it was created anew; bring back the old one, or start with an empty database"
                )
        self._assigned = list(offsets)
        self._consumer.assign([TopicPartition(self.topic, partition) for partition in offsets])
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self.topic, partition), offset)

    async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
        """
        Return the next records, in order within each partition, or [] when there are none for `timeout_ms`.

        Raises LogGap when retention overtook this reader, and LogDamaged. While Kafka is away the answer is [].
        """
        try:
            found: dict[Any, list[Any]] = await self._consumer.getmany(timeout_ms=timeout_ms, max_records=max_records)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise await self._gap(error) from error
        except KafkaError as error:
            raise LogUnavailable(f"Kafka at {self._bootstrap} cannot be read ({error})") from error
        return [
            Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers), r.timestamp)
            for records in found.values()
            for r in records
        ]

    async def end_offsets(self) -> dict[int, int]:
        """Return by partition the offset that the next record will get. Raises LogUnavailable."""
        _, end = await self._bounds(await self.partitions())
        return end

    async def beginning_offsets(self) -> dict[int, int]:
        """Return by partition the first offset that the log still holds. Raises LogUnavailable."""
        first, _ = await self._bounds(await self.partitions())
        return first

    async def _bounds(self, partitions: list[int]) -> tuple[dict[int, int], dict[int, int]]:
        asked = [TopicPartition(self.topic, partition) for partition in partitions]
        async with _translated(self._bootstrap):
            first, end = await asyncio.wait_for(
                asyncio.gather(self._consumer.beginning_offsets(asked), self._consumer.end_offsets(asked)),
                REQUEST_TIMEOUT_S,
            )
        return {tp.partition: offset for tp, offset in first.items()}, {tp.partition: o for tp, o in end.items()}

    async def _gap(self, error: Exception) -> LogGap:
        wanted = {tp.partition: offset for tp, offset in error.args[0].items()} if error.args else {}
        try:
            first, end = await self._bounds(self._assigned)
        except LogUnavailable:
            return LogGap(f"{self.topic}: the log no longer holds a wanted offset ({error})")
        if gone := lost_offsets(wanted, first):
            return LogGap(f"{self.topic}: {gone} are gone from the log: restore them from a backup of it")
        return LogGap(f"{self.topic}: the log no longer holds a wanted offset ({error}); it holds {first} to {end}")


class TooLarge(Refused):
    """The topic takes no record of this size."""


class LogWriter:
    """
    Writes records to chosen partitions of one topic, in order, each acknowledged by all replicas.

    A write that failed may have arrived all the same: who writes again writes at least once. One task at a time.
    """

    def __init__(self, bootstrap: str, topic: str, security: Mapping[str, Any] | None = None) -> None:
        """Write to `topic`; `security` is what security_arguments() returned, nothing for a plain connection."""
        self.topic = topic
        self._bootstrap = bootstrap
        self._security = dict(security or {})
        self._producer: Any = None

    async def open(self) -> int:
        """Connect and return how many partitions the topic has. Raises LogUnavailable; `close` is due all the same."""
        self._producer = AIOKafkaProducer(
            **self._security,
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            compression_type="zstd",
            max_batch_size=WRITTEN_BATCH_BYTES,
            request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
        )
        async with _translated(self._bootstrap):
            await asyncio.wait_for(self._producer.start(), REQUEST_TIMEOUT_S)
            return len(await asyncio.wait_for(self._producer.partitions_for(self.topic), REQUEST_TIMEOUT_S))

    async def write(self, partition: int, records: Sequence[Record]) -> None:
        """
        Write keys, values and headers of records; returns once all are acknowledged.

        Raises LogUnavailable, after which this writer must be closed, and TooLarge for a record, or for a few that
        travel together: then those before are written, and none behind.
        """
        batch = self._producer.create_batch()
        for record in records:
            if not _append(batch, record):
                await self._send(batch, partition)
                batch = self._producer.create_batch()
                _append(batch, record)  # the first record of a batch always fits
        if batch.record_count():
            await self._send(batch, partition)

    async def _send(self, batch: Any, partition: int) -> None:
        batch.close()
        try:
            async with _translated(self._bootstrap):
                sent = await asyncio.wait_for(
                    self._producer.send_batch(batch, self.topic, partition=partition), REQUEST_TIMEOUT_S
                )
                await asyncio.wait_for(sent, REQUEST_TIMEOUT_S)
        except LogUnavailable as error:
            if isinstance(error.__cause__, MessageSizeTooLargeError):
                raise TooLarge(f"{self.topic} takes no records of this size: raise its max.message.bytes") from error
            raise

    async def close(self) -> None:
        """Disconnect at once, whatever is in flight."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # The sender first: stop() would wait for what is in flight, and with idempotence that never expires.
        if producer._sender.sender_task is not None:
            producer._sender.sender_task.cancel()
        with suppress(KafkaError, OSError, TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(producer.stop(), CLOSE_TIMEOUT_S)


def _append(batch: Any, record: Record) -> bool:
    added = batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
    return added is not None
