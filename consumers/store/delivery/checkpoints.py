"""
Checkpoints of deliveries, and the lease that allows one process per tracker.

A checkpoint belongs to (tracker, run). Before a call, its row records which records the tracker will receive (the
intent); after the call, the result replaces the intent, with the tracker's own state, in one statement. An intent
without a result is in doubt: its records may have arrived. Partition offsets follow later. They only state where
reading starts; a run skips the records below its own offset.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, NamedTuple

from consumers.log.dedup import Ledger
from consumers.store.fencing import Fenced
from consumers.store.offsets import consumer_name
from consumers.store.pool import Database, PooledConnection, is_open, translated
from consumers.store.statements import sql

State = dict[str, Any]
LEASE_POLL_S = 0.5
PARAM_ATTEMPTS = "gateway:param_attempts"  # in the stored state, next to the tracker's own keys


class Checkpoint(NamedTuple):
    """How far one tracker is with one run."""

    next_offset: int = 0  # next offset of the log, in the run's partition
    ledgers: Mapping[str, Ledger] = {}  # by producer
    state: Mapping[str, Any] = {}  # the tracker's own state, JSON
    status: Literal["delivering", "waiting", "parked"] = "delivering"
    error: str = ""
    skipped: int = 0  # number of records that can never be decoded
    attempt: int = 0  # number of the call in progress for the next records; 0: none
    doubt_to: int = 0  # an earlier call with an unknown result had the records below this offset
    rereading: bool = False  # partition offsets are ahead of this run: it must be reread from next_offset
    unanswered: int = 0  # consecutive calls for the next records that never returned
    param_attempts: Mapping[str, int] = {}  # by name, above the first: see schemas/params.py


class Intent(NamedTuple):
    """The records that a run is about to receive."""

    run_id: str
    partition: int
    to_offset: int  # exclusive


class Result(NamedTuple):
    """The outcome of a call."""

    run_id: str
    before: Checkpoint  # as `begin` returned it
    after: Checkpoint


class Lease:
    """The right to deliver to one tracker: it lasts as long as a connection to PostgreSQL."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    def is_lost(self) -> bool:
        """Tell whether the connection has ended. Never raises: a pool takes the ended one back while it is held."""
        return not is_open(self._connection)


class Deliveries:
    """Checkpoints of one tracker. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database, tracker: str, topic: str) -> None:
        self._database, self._tracker, self._topic = database, tracker, topic
        self._term: int | None = None  # term of the lease; None: no lease was taken

    async def offsets(self) -> dict[int, int]:
        """Return the offsets at which reading starts, by partition; partitions that were never read are absent."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("load_offsets"), consumer_name(self._tracker), self._topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def furthest(self) -> dict[int, int]:
        """Return the highest next offset of a run, by partition; offsets() may be lower."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("furthest_deliveries"), self._tracker, self._topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def save_offsets(self, offsets: Mapping[int, int]) -> None:
        """Store the offsets at which reading starts after a restart. A stored offset never decreases."""
        async with self._database.acquire() as connection:
            name = consumer_name(self._tracker)
            await connection.execute(sql("raise_offsets"), name, self._topic, list(offsets), list(offsets.values()))

    async def load(self, run_ids: list[str] | None = None) -> dict[str, Checkpoint]:
        """Return the checkpoints of these runs, or of all; runs that were never delivered are absent."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("load_deliveries"), self._tracker, run_ids)
        return {row["run_id"]: _checkpoint(row) for row in rows}

    async def begin(self, intents: Sequence[Intent]) -> dict[str, Checkpoint]:
        """
        Store what these runs are about to receive; return their checkpoints, without parked runs.

        Raises Fenced, and stores nothing, if another process has taken the lease since.
        """
        columns = [list(column) for column in zip(*intents, strict=True)]
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("begin_deliveries"), self._tracker, self._topic, *columns, self._term)
            lost = len(rows) < len(intents) and self._term not in (None, await self._present_term(connection))
        if lost:
            raise Fenced(f"another process delivers to {self._tracker} now: this one lost its lease and stops")
        return {row["run_id"]: _checkpoint(row) for row in rows}

    async def keep(self, results: Sequence[Result]) -> set[str]:
        """Move runs from `before` to `after`, and return the moved ones. Another process has moved the others."""
        rows = [
            (
                run_id, after.next_offset, {name: ledger.to_json() for name, ledger in after.ledgers.items()},
                _stored_state(after), after.status, after.error, after.skipped, after.rereading, after.attempt,
                after.doubt_to, after.unanswered, before.next_offset, before.attempt,
            )
            for run_id, before, after in results
        ]  # fmt: skip
        columns = [list(column) for column in zip(*rows, strict=True)]
        async with self._database.acquire() as connection:
            found = await connection.fetch(sql("keep_deliveries"), self._tracker, *columns)
        return {row["run_id"] for row in found}

    async def _present_term(self, connection: PooledConnection) -> int | None:
        term: int | None = await connection.fetchval(sql("tracker_term"), self._tracker)
        return term

    async def unanswered(self) -> dict[str, int]:
        """
        Return the consecutive calls of each run that never returned, counting one in progress when its process ended.

        Only a process that has just taken the lease may call this.
        """
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(sql("count_unanswered"), self._tracker)
            rows = await connection.fetch(sql("load_unanswered"), self._tracker)
        return {row["run_id"]: row["unanswered"] for row in rows}

    @asynccontextmanager
    async def lease(self, report: Callable[[str], object]) -> AsyncIterator[Lease]:
        """Be the only process that delivers to this tracker. While another one does, wait, and report that once."""
        async with translated(self._database.address):
            connection = await self._database.pool.acquire()
        try:
            reported = False
            while not await self._try_lease(connection):
                if not reported:
                    report(f"another process delivers to {self._tracker}: waiting for its end")
                    reported = True
                await asyncio.sleep(LEASE_POLL_S)
            async with translated(self._database.address):
                await connection.execute(sql("notice_lost_lease"))
                self._term = await connection.fetchval(sql("begin_term"), self._tracker)
            yield Lease(connection)
        finally:
            with suppress(Exception):  # the session ends either way, and the lease with it
                connection.terminate()
                await self._database.pool.release(connection)

    async def _try_lease(self, connection: PooledConnection) -> bool:
        async with translated(self._database.address):
            return bool(await connection.fetchval(sql("try_lease"), consumer_name(self._tracker)))


def plugin_state(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tracker's own state from the one that is stored."""
    return {name: value for name, value in stored.items() if name != PARAM_ATTEMPTS}


def _stored_state(checkpoint: Checkpoint) -> dict[str, Any]:
    more = {PARAM_ATTEMPTS: dict(checkpoint.param_attempts)} if checkpoint.param_attempts else {}
    return {**checkpoint.state, **more}


def _checkpoint(row: Any) -> Checkpoint:
    stored = row["exact_state"]
    ledgers = {producer: Ledger.from_json(ledger) for producer, ledger in row["ledgers"].items()}
    return Checkpoint(
        row["next_offset"], ledgers, plugin_state(stored), row["status"], row["error"], row["skipped"], row["attempt"],
        row["doubt_to"], row["behind"], row["unanswered"], stored.get(PARAM_ATTEMPTS, {}),
    )  # fmt: skip
