"""
Read the log from explicit offsets.

The caller says where to start in each partition, because the offset that counts is the one a consumer keeps in
PostgreSQL next to its data. There is no consumer group and no commit to Kafka: each delivery is one process that reads
every partition, and the materialiser uses Faust. Nothing is skipped silently: an offset that the log no longer holds
raises LogGap; the reader never jumps to the earliest or latest record.

Outages: `fetch` returns nothing while Kafka is away and continues when it is back. All other methods that ask Kafka
raise LogUnavailable.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from consumers.log.record import Record
from consumers.log.record_parser import read_any_header_name
from consumers.log.topics import REQUEST_TIMEOUT_S, admin_client, finish_start, translated
from schemas.errors import LogDamaged, LogGap, LogShorter, LogUnavailable

SHOWN_PARTITIONS = 3  # in a message
# Limits of the search for records that were read: waits without a record, each of so many ms, and records at once.
CHECK_WAITS, CHECK_MS, CHECK_RECORDS = 20, 500, 100
READ_AGAIN_S = 30.0  # after which partitions that cannot be read are tried again
METADATA_AGE_MS = 10_000  # after which new partitions of the topic are noticed


def lost_offsets(wanted: Mapping[int, int], first: Mapping[int, int]) -> str:
    """Describe the offsets, by partition, that are wanted and lie before the log's `first`; "" if there are none."""
    return " and ".join(
        f"offsets {offset} to {first[partition] - 1} of partition {partition}"
        for partition, offset in sorted(wanted.items())
        if first.get(partition, 0) > offset
    )


def shorter_log(topic: str, read: Mapping[int, int], end: Mapping[int, int], reader: str) -> str:
    """
    Say that the log is not the one that was read, because it ends before next offsets that `reader` has; "" if not.

    New records would get offsets that were read before, and would be taken for records that were applied.
    """
    cut = {partition: offset for partition, offset in sorted(read.items()) if offset > end.get(partition, 0)}
    if not cut:
        return ""
    where = " and ".join(
        f"partition {partition} ends at offset {end.get(partition, 0)}, before offset {offset} of {reader}"
        for partition, offset in list(cut.items())[:SHOWN_PARTITIONS]
    )
    return (
        f"{topic}: {where}, so the topic was created again, restored from an older copy or truncated by an election: "
        "restore the log that has these offsets, or start with an empty database"
    )


class PlacedTime(NamedTuple):
    """A record of a partition, named by what no other log has at the same offset."""

    offset: int
    time_ms: int  # as the broker keeps it


def check_length(topic: str, read: Mapping[int, int], end: Mapping[int, int], reader: str) -> None:
    """Raise LogShorter when the log ends before next offsets that `reader` has, by partition."""
    if problem := shorter_log(topic, read, end, reader):
        raise LogShorter(problem)


class LogReader:
    """
    Records of one topic from explicit offsets.

    One task at a time calls `fetch`; others may call `partitions`, `end_offsets` and `beginning_offsets` meanwhile.
    """

    def __init__(self, bootstrap: str, topic: str, security: Mapping[str, Any] | None = None) -> None:
        """Read `topic`; `security` is the result of security_arguments(), None for a plain connection."""
        security = security or {}
        read_any_header_name()
        self.topic = topic
        self._bootstrap = bootstrap
        self._next: dict[int, int] = {}  # by assigned partition, the offset after the last record that was returned
        self._set_aside: list[int] = []  # partitions that are not read
        self._read_again = 0.0  # when they are tried again, monotonic s
        self._consumer = AIOKafkaConsumer(
            **security,
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            metadata_max_age_ms=METADATA_AGE_MS,
            fetch_max_wait_ms=500,  # a broker answers as soon as it has a byte; this only bounds idle requests
            max_partition_fetch_bytes=4 * 1024 * 1024,
            request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
        )
        # The consumer's own `topics()` and `partitions_for_topic()` know only the topics it is assigned to.
        self._admin = admin_client(bootstrap, security)

    async def open(self) -> None:
        """Connect. Raises LogUnavailable. Call `close` even if this raises."""
        async with translated(self._bootstrap):
            await finish_start(self._consumer.start())
            await finish_start(self._admin.start())

    async def close(self) -> None:
        """
        Disconnect. Commits nothing.

        aiokafka's `stop` raises CancelledError and leaves its connections open when a fetch has just failed: it cancels
        the task that waits for 0.1 s after a failure and takes that task's end for its own.
        """
        try:
            await self._consumer.stop()
        except asyncio.CancelledError:
            await self._consumer._client.close()
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
        finally:
            await self._admin.close()

    async def partitions(self) -> list[int]:
        """Return the numbers of the topic's partitions. Raises LogUnavailable, also while the topic does not exist."""
        async with translated(self._bootstrap):
            (found,) = await asyncio.wait_for(self._admin.describe_topics([self.topic]), REQUEST_TIMEOUT_S)
        if not found["partitions"]:
            raise LogUnavailable(f"Kafka at {self._bootstrap} has no topic {self.topic}: start the materialiser")
        return sorted(part["partition"] for part in found["partitions"])

    def known_partitions(self) -> frozenset[int]:
        """Return the topic's partitions as of the last METADATA_AGE_MS, without a request; empty if none are known."""
        return frozenset(self._consumer.partitions_for_topic(self.topic) or ())

    async def assign(self, offsets: Mapping[int, int]) -> None:
        """
        Read these partitions from these offsets. Replaces the previous assignment.

        Raises LogGap if an offset lies before the log's beginning, LogShorter if one lies after its end.
        """
        first, end = await self._bounds(list(offsets))
        if gone := lost_offsets(offsets, first):
            raise LogGap(f"{self.topic}: {gone} are gone from the log: restore them from a backup of it")
        check_length(self.topic, offsets, end, "this reader")
        self._next, self._set_aside = dict(offsets), []
        self._consumer.assign([TopicPartition(self.topic, partition) for partition in offsets])
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self.topic, partition), offset)

    async def check_same_log(self, read: Mapping[int, PlacedTime], reader: str) -> None:
        """
        Raise LogShorter unless the log has these records, by partition, that `reader` has read; see docs/operations.md.

        Records that retention has deleted, or that cannot be read, are left out. Replaces the assignment. Raises
        LogUnavailable.
        """
        first, end = await self._bounds(await self.partitions())
        check_length(self.topic, {part: record.offset + 1 for part, record in read.items()}, end, reader)
        left = {part: record for part, record in read.items() if record.offset >= first[part]}
        if left:
            await self.assign({part: record.offset for part, record in left.items()})
        waits = 0
        while left and waits < CHECK_WAITS:
            try:
                records = await self.fetch(timeout_ms=CHECK_MS, max_records=CHECK_RECORDS, only=left)
            except LogDamaged as error:
                self.set_aside(error.partition)
                left.pop(error.partition, None)
                continue
            waits += not records
            for record in records:
                known = left.pop(record.partition, None)
                if known is not None and known.offset == record.offset and known.time_ms != record.time_ms:
                    raise LogShorter(
                        f"{self.topic}: record {record.offset} of partition {record.partition} is not the one that "
                        f"{reader} has read, so the topic was created again, restored from an older copy or truncated "
                        "by an election: restore the log that has it, or start with an empty database"
                    )

    async def fetch(self, *, timeout_ms: int, max_records: int, only: Iterable[int] = ()) -> list[Record]:
        """
        Return the next records, in order within each partition; [] if none arrive within `timeout_ms`.

        With `only` those of other partitions wait: they may be many.

        Raises LogGap if retention has overtaken this reader, and LogDamaged, after which `set_aside` lets it continue
        with the other partitions. Returns [] while Kafka is away.
        """
        if self._set_aside and time.monotonic() >= self._read_again:
            self.take_back()
        try:
            found: dict[Any, list[Any]] = await self._consumer.getmany(
                *(TopicPartition(self.topic, partition) for partition in only),
                timeout_ms=timeout_ms,
                max_records=max_records,
            )
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise await self._gap(error) from error
        except KafkaError as error:
            raise LogUnavailable(f"Kafka at {self._bootstrap} cannot be read ({error})") from error
        self._next.update((tp.partition, records[-1].offset + 1) for tp, records in found.items())
        return [
            Record(r.topic, r.partition, r.offset, r.key, r.value, tuple(r.headers), r.timestamp)
            for records in found.values()
            for r in records
        ]

    def set_aside(self, partition: int) -> None:
        """
        Do not read a partition for READ_AGAIN_S: it may be repaired by then, or be damaged again.

        Call it when `fetch` has raised LogDamaged for it.
        """
        self._set_aside.append(partition)
        self._read_again = time.monotonic() + READ_AGAIN_S
        self._consumer.pause(TopicPartition(self.topic, partition))
        for other, offset in self._next.items():  # records of others, read in the same fetch, were not returned
            self._consumer.seek(TopicPartition(self.topic, other), offset)

    def take_back(self) -> None:
        """Read all partitions again, now."""
        self._consumer.resume(*(TopicPartition(self.topic, partition) for partition in self._set_aside))
        self._set_aside = []

    async def end_offsets(self) -> dict[int, int]:
        """Return the offset that the next record will get, by partition. Raises LogUnavailable."""
        _, end = await self._bounds(await self.partitions())
        return end

    async def beginning_offsets(self) -> dict[int, int]:
        """Return the first offset that the log still holds, by partition. Raises LogUnavailable."""
        first, _ = await self._bounds(await self.partitions())
        return first

    async def _bounds(self, partitions: list[int]) -> tuple[dict[int, int], dict[int, int]]:
        asked = [TopicPartition(self.topic, partition) for partition in partitions]
        # Not wait_for: when this is cancelled, it leaves the gathered error to the garbage collector, which logs it.
        async with translated(self._bootstrap), asyncio.timeout(REQUEST_TIMEOUT_S):
            first, end = await asyncio.gather(
                self._consumer.beginning_offsets(asked), self._consumer.end_offsets(asked)
            )
        return {tp.partition: offset for tp, offset in first.items()}, {tp.partition: o for tp, o in end.items()}

    async def _gap(self, error: Exception) -> LogGap:
        wanted = {tp.partition: offset for tp, offset in error.args[0].items()} if error.args else {}
        try:
            first, end = await self._bounds(list(self._next))
        except LogUnavailable:
            return LogGap(f"{self.topic}: the log no longer holds a wanted offset ({error})")
        if gone := lost_offsets(wanted, first):
            return LogGap(f"{self.topic}: {gone} are gone from the log: restore them from a backup of it")
        if problem := shorter_log(self.topic, wanted, end, "this reader"):
            return LogShorter(problem)
        return LogGap(f"{self.topic}: the log no longer holds a wanted offset ({error}); it holds {first} to {end}")
