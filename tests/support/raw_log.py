"""
Write records to a real log byte by byte, as clients in other languages can: aiokafka refuses some valid records.

A header name is text with surrogate escapes in `Record.headers`: `"ce_\\udcff"` becomes the bytes `ce_` and FF.
The format is record batch version 2: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from aiokafka.client import AIOKafkaClient
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.errors import LeaderNotAvailableError, NoError, NotLeaderForPartitionError, for_code
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c, encode_varint
from aiokafka.structs import TopicPartition

from schemas.wire import EncodedRecord

CODECS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "none": (0, bytes),
    "gzip": (1, gzip_encode),
    "snappy": (2, snappy_encode),
    "lz4": (3, lz4_encode),
    "zstd": (4, zstd_encode),
}
BATCH_RECORDS, BATCH_BYTES = 500, 400_000
ALL_REPLICAS, TIMEOUT_MS = -1, 10_000


def batch_of(records: Sequence[EncodedRecord], codec: str = "none") -> bytes:
    """Return a record batch of these records."""
    number, compress = CODECS[codec]
    now = int(time.time() * 1000)
    body = compress(b"".join(_record(record, delta) for delta, record in enumerate(records)))
    last = len(records) - 1
    checked = struct.pack(">hiqqqhii", number, last, now, now, -1, -1, -1, len(records)) + body
    after_length = struct.pack(">ibI", -1, 2, calc_crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(after_length)) + after_length


def _record(record: EncodedRecord, delta: int) -> bytes:
    body = bytearray(b"\x00")  # attributes: none are defined
    encode_varint(0, body.append)  # ms since the first record of the batch
    encode_varint(delta, body.append)
    _sized(body, record.key)
    _sized(body, record.value)
    encode_varint(len(record.headers), body.append)
    for name, value in record.headers:
        _sized(body, name.encode(errors="surrogateescape"))
        _sized(body, value)
    length = bytearray()
    encode_varint(len(body), length.append)
    return bytes(length + body)


def _sized(body: bytearray, value: bytes) -> None:
    encode_varint(len(value), body.append)
    body += value


def with_bad_header_name(
    record: EncodedRecord, name: str = "ce_type", bad: str = "ce_t\udcff\udcfepe"
) -> EncodedRecord:
    """Return the record with one header renamed to bytes that are not valid UTF-8."""
    return record._replace(headers=[(bad if n == name else n, v) for n, v in record.headers])


def has_bad_header_name(record: EncodedRecord) -> bool:
    """Return whether the producer of aiokafka would refuse a header name of the record."""
    return any("\udc80" <= character <= "\udcff" for name, _ in record.headers for character in name)


@asynccontextmanager
async def _client(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaClient]:
    """Yield a client that knows the leaders of the partitions of the topic."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=TIMEOUT_MS)
    try:
        await client.bootstrap()
        await client.add_topic(topic)
        yield client
    finally:
        await client.close()


async def write_batches(bootstrap: str, topic: str, partition: int, batches: Iterable[bytes]) -> None:
    """Write batches to a partition; each is acknowledged before the next is sent. Raises KafkaError."""
    async with _client(bootstrap, topic) as client:
        for batch in batches:
            await _produce(client, topic, partition, batch)


async def write_raw(bootstrap: str, topic: str, records: Iterable[EncodedRecord], codec: str = "none") -> None:
    """
    Write records in big batches to the partitions that their keys belong to; returns once all are acknowledged.

    Raises KafkaError, after which some may be written.
    """
    choose = DefaultPartitioner()
    by_partition: dict[int, list[EncodedRecord]] = {}
    async with _client(bootstrap, topic) as client:
        partitions = sorted(client.cluster.partitions_for_topic(topic) or ())
        if not partitions:
            raise LeaderNotAvailableError(topic)
        for record in records:
            by_partition.setdefault(choose(record.key, partitions, partitions), []).append(record)
        for partition, mine in by_partition.items():
            for some in _portions(mine):
                await _produce(client, topic, partition, batch_of(some, codec))


async def _produce(client: AIOKafkaClient, topic: str, partition: int, batch: bytes) -> None:
    request = ProduceRequest(
        transactional_id=None,
        required_acks=ALL_REPLICAS,
        timeout=TIMEOUT_MS,
        topics=[(topic, [(partition, batch)])],
    )
    async with asyncio.timeout(TIMEOUT_MS / 1_000):
        while True:
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            answer = await client.send(leader, request)
            refused = for_code(answer.topics[0][1][0][1])
            if refused is NoError:
                return
            if refused is not NotLeaderForPartitionError:
                raise refused(answer)
            await asyncio.sleep(0.02)  # a broker names the leader of a new topic before it has taken the lead


def _portions(records: Sequence[EncodedRecord]) -> Iterable[list[EncodedRecord]]:
    held: list[EncodedRecord] = []
    size = 0
    for record in records:
        if held and (len(held) >= BATCH_RECORDS or size + len(record.value) > BATCH_BYTES):
            yield held
            held, size = [], 0
        held.append(record)
        size += len(record.value)
    if held:
        yield held
