"""
How far each tracker is: the checkpoints of deliveries, and the lease that keeps one process a tracker.

A checkpoint belongs to (tracker, run) and is written after the tracker took the records it stands for, with the
tracker's own state in the same statement. Partition offsets follow behind; they only say where reading starts, and
what a run already has is skipped by its own offset.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, NamedTuple

from consumers.admission import Ledger
from consumers.store.pool import Pool, PooledConnection, translated
from consumers.store.queries import sql
from schemas.api import DeliveryStatus
from schemas.errors import TrackingError

State = dict[str, Any]
LEASE_POLL_S = 0.5


class Fenced(TrackingError):
    """Another process delivers to this tracker: this one must stop."""


class Progress(NamedTuple):
    """How far one tracker is with one run."""

    next_offset: int = 0  # of the log, in the run's partition
    ledgers: Mapping[str, Ledger] = {}  # by producer
    state: Mapping[str, Any] = {}  # the tracker's own, JSON
    status: Literal["delivering", "waiting", "parked"] = "delivering"
    error: str = ""
    skipped: int = 0  # records that can never be decoded


def consumer_name(tracker: str) -> str:
    """Return the name under which a tracker's offsets are kept."""
    return f"delivery/{tracker}"


class Deliveries:
    """Checkpoints of one tracker. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, pool: Pool, where: str, tracker: str, topic: str) -> None:
        self._pool, self._where, self._tracker, self._topic = pool, where, tracker, topic

    async def offsets(self) -> dict[int, int]:
        """Return where reading starts, by partition; partitions never read are absent."""
        async with translated(self._where), self._pool.acquire() as connection:
            rows = await connection.fetch(sql("load_offsets"), consumer_name(self._tracker), self._topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def save_offsets(self, offsets: Mapping[int, int]) -> None:
        """Write where reading starts after a restart. An offset never falls."""
        async with translated(self._where), self._pool.acquire() as connection:
            name = consumer_name(self._tracker)
            await connection.execute(sql("raise_offsets"), name, self._topic, list(offsets), list(offsets.values()))

    async def load(self, run_ids: list[str] | None = None) -> dict[str, Progress]:
        """Return what is known of these runs, or of all; runs that were never delivered are absent."""
        async with translated(self._where), self._pool.acquire() as connection:
            rows = await connection.fetch(sql("load_deliveries"), self._tracker, run_ids)
        return {row["run_id"]: _progress(row) for row in rows}

    async def save(self, run_id: str, partition: int, before: Progress | None, after: Progress) -> None:
        """Move a run from `before` (None: never delivered) to `after`. Raises Fenced when it is not there any more."""
        values = (
            self._tracker, run_id, self._topic, partition, after.next_offset,
            {producer: ledger.to_json() for producer, ledger in after.ledgers.items()},
            dict(after.state), after.status, after.error, after.skipped,
        )  # fmt: skip
        async with translated(self._where), self._pool.acquire() as connection:
            if before is None:
                done = await connection.execute(sql("insert_delivery"), *values)
            else:
                done = await connection.execute(sql("update_delivery"), *values, before.next_offset)
        if done not in ("INSERT 0 1", "UPDATE 1"):
            raise Fenced(
                f"run {run_id} was delivered to {self._tracker} by another process: stop all but one, then start again"
            )

    @asynccontextmanager
    async def lease(self, say: Callable[[str], object]) -> AsyncIterator[PooledConnection]:
        """
        Be the only process that delivers to this tracker; wait, saying so once, while another one is.

        The lease lasts as long as the connection given: ask it with `is_closed()`.
        """
        async with translated(self._where):
            connection = await self._pool.acquire()
        try:
            told = False
            while not await self._try_lease(connection):
                if not told:
                    say(f"another process delivers to {self._tracker}: waiting for its end")
                    told = True
                await asyncio.sleep(LEASE_POLL_S)
            yield connection
        finally:
            with suppress(Exception):  # the session ends either way, and the lease with it
                connection.terminate()
                await self._pool.release(connection)

    async def _try_lease(self, connection: PooledConnection) -> bool:
        async with translated(self._where):
            return bool(await connection.fetchval(sql("try_lease"), consumer_name(self._tracker)))


async def delivery_statuses(pool: Pool, where: str) -> list[DeliveryStatus]:
    """Return one line a tracker, for `gateway status` and the API. Raises StoreUnavailable."""
    async with translated(where), pool.acquire() as connection:
        rows = await connection.fetch(sql("delivery_statuses"))
    return [DeliveryStatus.model_validate(dict(row)) for row in rows]


def _progress(row: Any) -> Progress:
    ledgers = {producer: Ledger.from_json(ledger) for producer, ledger in row["ledgers"].items()}
    return Progress(row["next_offset"], ledgers, row["state"], row["status"], row["error"], row["skipped"])
