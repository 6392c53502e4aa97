"""
Send records to Kafka: the only file of the client that imports aiokafka.

aiokafka has one request in flight for each broker, and one batch of records for each partition in a request. So this
transport builds each partition's batch itself and hands it over only when the batch before it is acknowledged. This
takes a tenth of the work of `send()` record by record at the same speed, and a batch can never overtake one that
failed. The partition is Kafka's own default for the key: murmur2, as in every other producer. When the topic gets more
partitions, a key that was sent before stays in its partition, and new keys use all of them.

A batch that the brokers find too large is sent again in halves; a record that is too large by itself is refused for
good.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 -- otherwise imported by the first name lookup, perhaps while training forks
import logging
import ssl

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.structs import TopicPartition

from gateway.client.errors import Unsent
from gateway.client.transports.transport import Refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from typing import Any

    from gateway.client.encoding.wire import Record

MAX_BATCH = 1_040_000  # bytes before compression; below the broker's default message.max.bytes of 1,048,588
REQUEST_TIMEOUT_MS = 20_000
CLOSE_TIMEOUT_S = 2.0
MAX_PLACED = 10_000  # keys in memory; beyond this number their partitions are computed again
NO_TIME = -1  # timestamp of a Kafka record without one
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class KafkaTransport:
    """An idempotent producer: an acknowledged record is on every in-sync replica, once, in order."""

    def __init__(self, servers: list[str], topic: str, options: Mapping[str, str] | None = None) -> None:
        self._servers = servers
        self._topic = topic
        self._options = dict(options or {})  # of address.OPTIONS
        self._producer: Any = None
        self._partitions: list[int] = []
        self._partition = DefaultPartitioner()
        self._placed: dict[bytes, int] = {}  # partition by key
        self._room = MAX_BATCH  # bytes of records that the brokers accept in one batch, as far as is known
        self._is_timed = True  # the brokers accept our timestamps
        self.written: dict[int, int] = {}  # by partition: the offset after the newest record that was acknowledged

    async def open(self) -> None:
        """Connect and fetch the topic's partitions. Raises Unsent when either fails."""
        _silence_logs()
        _last_error.text = ""
        self._producer = AIOKafkaProducer(
            **security_arguments(self._options),
            bootstrap_servers=self._servers,
            enable_idempotence=True,
            acks="all",
            compression_type="zstd",
            max_batch_size=MAX_BATCH,
            max_request_size=2 * MAX_BATCH,
            linger_ms=10,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            metadata_max_age_ms=60_000,
        )
        try:
            await _finish_start(self._producer.start())
            self._partitions = sorted(await self._producer.partitions_for(self._topic))
        except (KafkaError, OSError) as error:
            # aiokafka raises the same error for every failure of TLS or SASL
            raise self._unsent(error, _last_error.text if self._options else "") from error

    async def send(self, records: Sequence[Record]) -> list[Refusal]:
        """
        Send the records, keeping the order of records with the same key.

        Returns those too large for the topic, once all others are acknowledged. Raises Unsent.
        """
        part_of = self._place({record.key for record in records})
        parts: dict[int, list[int]] = {}
        for number, record in enumerate(records):
            parts.setdefault(part_of[record.key], []).append(number)
        sending: list[asyncio.Future[list[Refusal]]] = []
        try:
            if len(parts) == 1:
                ((part, numbers),) = parts.items()
                return await self._send_part(part, numbers, records, is_alone=True)
            for part, numbers in parts.items():
                sending.append(asyncio.ensure_future(self._send_part(part, numbers, records, is_alone=False)))
            refusals = await asyncio.gather(*sending)
        except (KafkaError, OSError) as error:
            raise self._unsent(error) from error
        finally:
            for task in sending:
                task.cancel()
        return sorted(one for several in refusals for one in several)

    def _place(self, keys: set[bytes]) -> dict[bytes, int]:
        """Return the partitions of these keys, among others. aiokafka takes 20 µs to hash a key in Python."""
        placed = self._placed
        if len(placed) > MAX_PLACED:
            placed.clear()
        if new := keys - placed.keys():
            partitions = sorted(self._producer.client.cluster.partitions_for_topic(self._topic) or self._partitions)
            placed.update((key, self._partition(key, partitions, partitions)) for key in new)
        return placed

    async def _send_part(
        self, partition: int, numbers: Sequence[int], records: Sequence[Record], *, is_alone: bool
    ) -> list[Refusal]:
        refusals: list[Refusal] = []
        begin, room = 0, self._room
        while begin < len(numbers):
            batch, end, size = self._fill(records, numbers, begin, room)
            try:
                await self._send_batch(batch, partition, is_alone=is_alone)
            except InvalidTimestampError:  # a clock more than an hour ahead of the brokers'
                if not self._is_timed:
                    raise
                self._is_timed = False
            except TOO_LARGE:
                if end - begin > 1:
                    room = size // 2
                    continue
                refusals.append(Refusal(numbers[begin], self._too_large(records[numbers[begin]])))
                begin, room = end, self._room
            else:
                begin = end
        if not refusals:
            self._room = room
        return refusals

    def _fill(self, records: Sequence[Record], numbers: Sequence[int], begin: int, room: int) -> tuple[Any, int, int]:
        """Return a batch of the records from `begin`, at least one, with the index of its end and its size in bytes."""
        batch = self._producer.create_batch()
        end, size = begin, 0
        while end < len(numbers):
            record = records[numbers[end]]
            if end > begin and size + len(record) > room:
                break
            if not _append(batch, record, is_timed=self._is_timed):  # the first record of a batch always fits
                break
            end, size = end + 1, size + len(record)
        return batch, end, size

    async def _send_batch(self, batch: Any, partition: int, *, is_alone: bool) -> None:
        batch.close()  # complete: aiokafka need not wait for more
        try:
            part = TopicPartition(self._topic, partition)
            stored = await self._send_at_once(batch, part) if is_alone else None
            if stored is None:
                stored = await (await self._producer.send_batch(batch, self._topic, partition=partition))
            self.written[partition] = max(self.written.get(partition, 0), stored.offset + batch.record_count())
        except (*TOO_LARGE, InvalidTimestampError):
            # Nothing was accepted: use the sequence numbers again, or the broker refuses all later batches.
            numbers = self._producer._txn_manager
            numbers.increment_sequence_number(TopicPartition(self._topic, partition), -batch.record_count())
            raise

    async def _send_at_once(self, batch: Any, part: TopicPartition) -> Any:
        """
        Send a batch as aiokafka's own task would, but in this task, and return its metadata; None outside the simple,
        usual case.

        Waking that task twice for each batch is much of the cost of a small batch. Retries are left to that task.
        """
        sender, waiting = self._producer._sender, self._producer._message_accumulator
        node = self._producer.client.cluster.leader_for_partition(part)
        if node in (None, -1) or sender._in_flight or waiting._batches or sender.sender_task.done():
            return None
        waiting._batches[part].append(MessageBatch(part, batch, REQUEST_TIMEOUT_MS / 1_000, 0))
        numbered = waiting._pop_batch(part)
        sender._in_flight.add(node)
        sender._muted_partitions.add(part)
        await sender._send_produce_req(node, {part: numbered})
        if waiting._batches:
            waiting._wakeup(waiting._waiter_future)
        return await numbered.future

    def _unsent(self, error: Exception, more: str = "") -> Unsent:
        """Return the error for an error of aiokafka, in words for a person."""
        why = ": ".join(part for part in (str(error) or repr(error), more) if part)
        if isinstance(error, UnknownTopicOrPartitionError):
            step = "start the materialiser, which creates it, or correct GATEWAY_TOPIC"
            return Unsent(f"there is no topic {self._topic}", what="does not take events", step=step)
        if isinstance(error, TopicAuthorizationFailedError | ClusterAuthorizationFailedError):
            step = f"let this user write to topic {self._topic}"
            return Unsent(why, what="does not take events", step=step, took_nothing=True)
        if "certificate" in why.lower():
            return Unsent(why, step="correct GATEWAY_KAFKA_CA, GATEWAY_KAFKA_CERT and GATEWAY_KAFKA_KEY")
        if "authentication" in why.lower():
            step = "correct GATEWAY_KAFKA_SASL_USER and GATEWAY_KAFKA_SASL_PASSWORD"
            return Unsent(why, what="refused the user and password", step=step)
        return Unsent(why)

    def _too_large(self, record: Record) -> str:
        return f"{len(record):,} bytes are too large for topic {self._topic}: raise max.message.bytes there"

    async def close(self) -> None:
        """Close the connections within two seconds, whatever their state."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            # The sender first: stop() would wait for requests in flight, which never expire with idempotence.
            if producer._sender.sender_task is not None:
                producer._sender.sender_task.cancel()
            await asyncio.wait_for(producer.stop(), CLOSE_TIMEOUT_S)
        except (KafkaError, OSError, TimeoutError, asyncio.CancelledError):
            await _close_sockets(producer)


async def _finish_start(start: Coroutine[Any, Any, None]) -> None:
    """Await `start`; when cancelled, let it end first: aiokafka leaves a connection open if its start is cancelled."""
    starting = asyncio.ensure_future(start)
    try:
        await asyncio.shield(starting)
    finally:
        if not starting.done():
            await asyncio.wait({starting}, timeout=CLOSE_TIMEOUT_S)
            starting.cancel()


def security_arguments(options: Mapping[str, str]) -> dict[str, Any]:
    """Return the security arguments of aiokafka from address.OPTIONS. Raises Unsent naming a file it cannot use."""
    security = options.get("kafka_security", "PLAINTEXT")
    found: dict[str, Any] = {"security_protocol": security}
    if security.endswith("SSL"):
        found["ssl_context"] = _ssl_context(options)
    if security.startswith("SASL"):
        found["sasl_mechanism"] = options.get("kafka_sasl_mechanism", "SCRAM-SHA-512")
        found["sasl_plain_username"] = options.get("kafka_sasl_user", "")
        found["sasl_plain_password"] = options.get("kafka_sasl_password", "")
    return found


def _ssl_context(options: Mapping[str, str]) -> ssl.SSLContext:
    ca, cert, key = (options.get(name) or None for name in ("kafka_ca", "kafka_cert", "kafka_key"))
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise Unsent(
            f"GATEWAY_KAFKA_CA {ca} cannot be used ({error})", step="name a PEM file of certificates"
        ) from error
    if cert:
        try:
            context.load_cert_chain(cert, key)
        except OSError as error:
            raise Unsent(
                f"GATEWAY_KAFKA_CERT {cert} and GATEWAY_KAFKA_KEY {key} cannot be used ({error})",
                step="name PEM files that belong together",
            ) from error
    return context


def _append(batch: Any, record: Record, *, is_timed: bool) -> bool:
    time, headers = record.time // 1_000 if is_timed else NO_TIME, list(record.headers)
    return batch.append(timestamp=time, key=record.key, value=record.value, headers=headers) is not None


async def _close_sockets(producer: Any) -> None:
    try:
        await asyncio.wait_for(producer.client.close(), CLOSE_TIMEOUT_S)
    except (KafkaError, OSError, TimeoutError):
        return  # the sockets are closed with the loop


class _LastError(logging.Handler):
    """Keeps the last error that aiokafka logged: nothing else gives the reason why a broker refuses a client."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of one record."""
        self.text = record.getMessage()


_last_error = _LastError(logging.ERROR)


def _silence_logs() -> None:
    """Keep aiokafka's thousands of lines out of training's stderr: the shipper reports the same in one line."""
    logger = logging.getLogger("aiokafka")
    if not logger.handlers and logger.level == logging.NOTSET:
        logger.setLevel(logging.ERROR)
        logger.propagate = False
    logger.addHandler(_last_error)  # added once, however often this is called
