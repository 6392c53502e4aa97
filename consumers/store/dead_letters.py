"""
Dead letters in PostgreSQL: their counts, their publication, and the decisions about them.

write/writer.py writes the letters with the batch they came in, and they never change. How far they are published and
what was decided are in separate tables, which are not folded from the log. Everything here raises StoreUnavailable
while PostgreSQL is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Literal, NamedTuple

from consumers.log.record import Record
from consumers.store.pool import Database, PooledConnection, translated
from consumers.store.statements import sql
from schemas.api import NewestDeadLetter

State = Literal["parked", "replayed", "discarded"]
Decision = Literal["replayed", "discarded"]
LEASE_POLL_S = 1.0
_LEASE = "dead-letters"


class DeadLetterId(NamedTuple):
    """Position of a dead letter in the log; written topic:partition:offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"


class DeadLetterSummary(NamedTuple):
    """A dead letter without its bytes."""

    id: DeadLetterId
    kind: str
    reason: str
    key: bytes | None
    size: int  # bytes of the value
    time_ms: int  # timestamp of the broker
    state: State
    because: str  # reason of a discard
    decided: datetime | None


class DeadLetter(NamedTuple):
    """A dead letter with its record, byte for byte."""

    id: DeadLetterId
    kind: str
    reason: str
    record: Record
    state: State
    because: str
    decided: datetime | None


class DeadLetterFilter(NamedTuple):
    """Which dead letters to find; a condition that is None matches all."""

    run: str | None = None  # the record's key
    reason: str | None = None  # part of the reason or of its kind, in any case


class ParkedCount(NamedTuple):
    """Number of parked records, and the ordinal of the newest one with a decision (0: none)."""

    number: int
    decided: int


async def load_in_row(database: Database, topic: str, offsets: Mapping[int, int]) -> dict[int, ParkedCount]:
    """Return, by partition, the consecutive parked records right before these offsets; absent if there are none."""
    partitions, last = list(offsets), [offset - 1 for offset in offsets.values()]
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("load_in_row"), topic, partitions, last)
    return {row["partition"]: ParkedCount(row["in_row"], row["decided"]) for row in rows}


async def load_of_run(
    database: Database, topic: str, partition: int, digests: Collection[bytes]
) -> dict[bytes, ParkedCount]:
    """Return, by digest of their key, the parked records of a partition; absent if there are none."""
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("load_of_run"), topic, partition, list(digests))
    return {row["digest"]: ParkedCount(row["of_run"], row["decided"]) for row in rows}


async def newest_dead_letter(database: Database) -> tuple[int, NewestDeadLetter | None]:
    """Return the number of dead letters without a decision, and the newest of them."""
    async with database.acquire() as connection:
        count = await connection.fetchval(sql("count_undecided_dead_letters"))
        row = await connection.fetchrow(sql("newest_dead_letter"))
    if row is None:
        return count, None
    run = None if row["record_key"] is None else row["record_key"].decode(errors="backslashreplace")
    newest = NewestDeadLetter(
        id=str(_id(row)), run=run, kind=row["kind"], reason=row["reason"], time=row["record_time"]
    )
    return count, newest


class DeadLetters:
    """Search for dead letters, and decisions about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self, wanted: DeadLetterFilter, state: State | None, limit: int
    ) -> tuple[int, list[DeadLetterSummary]]:
        """Return the number of matches, and at most `limit` of them, newest first."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("find_dead_letters"), _key(wanted), wanted.reason, state, limit)
        return (rows[0]["total"] if rows else 0), [_found(row) for row in rows]

    async def get(self, letter: DeadLetterId) -> DeadLetter | None:
        """Return a dead letter with its record, None if nothing is parked there."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(sql("get_dead_letter"), *letter)
        if row is None:
            return None
        return DeadLetter(
            _id(row), row["kind"], row["reason"], _record(row), row["state"], row["because"], row["decided"]
        )

    async def undecided(self, wanted: DeadLetterFilter, after: DeadLetterId | None, limit: int) -> list[DeadLetterId]:
        """Return the next dead letters without a decision, in log order."""
        start = after or DeadLetterId("", -1, -1)
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("next_dead_letters"), _key(wanted), wanted.reason, *start, limit)
        return [_id(row) for row in rows]

    async def states(self, letters: Sequence[DeadLetterId]) -> dict[DeadLetterId, State]:
        """Return the state of these dead letters; absent where nothing is parked."""
        columns = [list(column) for column in zip(*letters, strict=True)] or [[], [], []]
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("dead_letter_states"), *columns)
        return {_id(row): row["state"] for row in rows}

    async def record_decision(self, letters: Sequence[DeadLetterId], decision: Decision, because: str = "") -> int:
        """Record a decision and return for how many letters it is new. A replayed letter can never be discarded."""
        columns = [list(column) for column in zip(*letters, strict=True)] or [[], [], []]
        async with self._database.acquire() as connection:
            done = await connection.execute(sql("record_decision"), *columns, decision, because)
        return int(done.rpartition(" ")[2])


class Outbox:
    """Dead letters to be published, on one connection that holds the lease to publish them."""

    def __init__(self, connection: PooledConnection, address: str, consumer: str, topic: str) -> None:
        self._connection, self._address = connection, address
        self._consumer, self._topic = consumer, topic

    @classmethod
    @asynccontextmanager
    async def lease(cls, database: Database, consumer: str, topic: str) -> AsyncIterator[Outbox]:
        """Be the only process that publishes what `consumer` parked of `topic`. Waits while another process is."""
        async with translated(database.address):
            connection = await database.pool.acquire()
        try:
            async with translated(database.address):
                while not await connection.fetchval(sql("try_lease"), f"{_LEASE}/{topic}"):  # noqa: ASYNC110
                    await asyncio.sleep(LEASE_POLL_S)  # PostgreSQL has no notification for this
            yield cls(connection, database.address, consumer, topic)
        finally:
            with suppress(Exception):  # the session ends either way, and the lease with it
                connection.terminate()
                await database.pool.release(connection)

    async def partitions(self) -> dict[int, int]:
        """Return the partitions with unpublished letters, and the first offset to publish."""
        async with translated(self._address):
            rows = await self._connection.fetch(sql("unpublished_partitions"), self._consumer, self._topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def following(self, partition: int, offset: int, *, max_records: int, max_bytes: int) -> list[DeadLetter]:
        """Return the next letters of a partition, in order. The last one may exceed `max_bytes`."""
        async with translated(self._address):
            rows = await self._connection.fetch(
                sql("unpublished_dead_letters"), self._topic, partition, offset, max_records, max_bytes
            )
        return [DeadLetter(_id(row), row["kind"], row["reason"], _record(row), "parked", "", None) for row in rows]

    async def mark(self, partition: int, next_offset: int) -> None:
        """Record that everything below this offset is published."""
        async with translated(self._address):
            await self._connection.execute(sql("mark_published"), self._topic, partition, next_offset)


def _id(row: Any) -> DeadLetterId:
    return DeadLetterId(row["topic"], row["partition"], row["log_offset"])


def _key(wanted: DeadLetterFilter) -> bytes | None:
    return None if wanted.run is None else wanted.run.encode(errors="surrogateescape")


def _found(row: Any) -> DeadLetterSummary:
    return DeadLetterSummary(
        _id(row), row["kind"], row["reason"], row["record_key"], row["size"], row["record_time"], row["state"],
        row["because"], row["decided"],
    )  # fmt: skip


def _record(row: Any) -> Record:
    return Record(
        row["topic"], row["partition"], row["log_offset"], row["record_key"], row["record_value"],
        tuple(zip(row["header_names"], row["header_values"], strict=True)), row["record_time"],
    )  # fmt: skip
