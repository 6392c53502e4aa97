"""
Read the log: the only file of this side that knows aiokafka.

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
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from schemas.errors import BadSettings, LogGap, LogUnavailable, Refused

if TYPE_CHECKING:
    from schemas.settings import Settings

REQUEST_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
MAX_MESSAGE_BYTES = 2 * 1024 * 1024  # twice schemas.wire.MAX_VALUE: key, headers and framing fit for certain
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
    topics = [
        NewTopic(settings.topic, settings.partitions, settings.replication, topic_configs=config),
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
        self.topic = topic
        self._bootstrap = bootstrap
        self._starts: dict[int, int] = {}
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
        for partition, offset in offsets.items():
            self._refuse_gap(partition, offset, first[partition], end[partition])
        self._starts = dict(offsets)
        self._consumer.assign([TopicPartition(self.topic, partition) for partition in offsets])
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self.topic, partition), offset)

    async def fetch(self, *, timeout_ms: int, max_records: int) -> list[Record]:
        """
        Return the next records, in order within each partition, or [] when there are none for `timeout_ms`.

        Raises LogGap when retention overtook this reader. While Kafka is away the answer is [].
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

    def _refuse_gap(self, partition: int, offset: int, first: int, end: int) -> None:
        if first <= offset <= end:
            return
        next_step = (
            "records were deleted; restore them from a backup of the log"
            if offset < first
            else "the log was created anew; bring back the old one, or start with an empty database"
        )
        raise LogGap(
            f"{self.topic}, partition {partition}: offset {offset} is wanted and the log holds {first} to {end}: "
            + next_step
        )

    async def _gap(self, error: Exception) -> LogGap:
        try:
            first, end = await self._bounds(list(self._starts))
        except LogUnavailable:
            return LogGap(f"{self.topic}: the log no longer holds a wanted offset ({error})")
        return LogGap(f"{self.topic}: the log no longer holds a wanted offset ({error}); it holds {first} to {end}")
