"""
What people order about trackers, and how each tracker stands.

Commands write orders, deliveries read them a few times a second; deliveries write whether their tracker answers,
commands and the API read it. A run that is taken out of parking is behind: partition offsets have passed it, so its
delivery reads the log again for it, from the run's own offset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from consumers.store.offsets import consumer_name
from consumers.store.pool import Database
from consumers.store.statements import sql
from schemas.api import DeliveryStatus

CircuitState = Literal["closed", "open", "probing"]


class Orders(NamedTuple):
    """What a delivery has to obey."""

    paused: bool = False
    number: int = 0  # has grown when runs are to be read again


class RereadPosition(NamedTuple):
    """Where a run is to be read again from."""

    partition: int
    next_offset: int


class CircuitReport(NamedTuple):
    """Whether a tracker answers."""

    state: CircuitState = "closed"
    since: datetime | None = None
    retry_at: datetime | None = None
    error: str = ""


class RunDelivery(NamedTuple):
    """How far a tracker is with one run."""

    run_id: str
    status: str
    error: str
    next_offset: int
    partition: int
    behind: bool
    attempt: int
    skipped: int
    state: dict[str, Any]
    updated: datetime


class Trackers:
    """Orders and states in PostgreSQL. Every method raises StoreUnavailable while it is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def orders(self, tracker: str) -> Orders:
        """Return what people want of a delivery now."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(sql("tracker_orders"), tracker)
        return Orders(row["paused"], row["orders"]) if row else Orders()

    async def rereads(self, tracker: str) -> dict[str, RereadPosition]:
        """Return the runs that are to be read again."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("tracker_behind"), tracker)
        return {row["run_id"]: RereadPosition(row["partition"], row["next_offset"]) for row in rows}

    async def caught_up(self, tracker: str, run_ids: Sequence[str]) -> None:
        """Note that runs have all that partition offsets have passed."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("caught_up"), tracker, list(run_ids))

    async def park(self, tracker: str, reasons: Mapping[str, str]) -> None:
        """Give up runs that cannot be read again, each with its reason."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("park_behind"), tracker, list(reasons), list(reasons.values()))

    async def report(self, tracker: str, circuit: CircuitReport) -> None:
        """Say whether a tracker answers."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("report_circuit"), tracker, *circuit)

    async def reported(self, tracker: str) -> CircuitReport:
        """Return what was last said about whether a tracker answers."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(sql("tracker_circuit"), tracker)
        return CircuitReport(*row) if row else CircuitReport()

    async def pause(self, tracker: str, paused: bool) -> None:
        """Hold a tracker's deliveries back, or let them go on. Survives restarts."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("pause_tracker"), tracker, paused)

    async def retry(self, tracker: str, run_ids: Sequence[str] | None) -> list[str]:
        """Take runs out of parking, all of them for None; return which. They go on exactly where they stopped."""
        chosen = None if run_ids is None else list(run_ids)
        async with self._database.acquire() as connection, connection.transaction():
            rows = await connection.fetch(sql("unpark"), tracker, chosen)
            await connection.execute(sql("order_reading"), tracker)
        return sorted(row["run_id"] for row in rows)

    async def choose(self, tracker: str, topic: str, run_ids: Sequence[str], *, known: bool) -> None:
        """
        Let a tracker have the whole history of runs that it never had, whatever the partition offsets say.

        `known` also reads on with those it has in part; only whoever holds the lease may say so.
        """
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(sql("choose_new_runs"), tracker, topic, list(run_ids))
            if known:
                await connection.execute(sql("choose_known_runs"), tracker, list(run_ids))
            await connection.execute(sql("order_reading"), tracker)

    async def is_delivering(self, tracker: str) -> bool:
        """Tell whether a process delivers to a tracker now."""
        return any(one.tracker == tracker and one.state != "stopped" for one in await self.overview([tracker]))

    async def progress(self, tracker: str, run_ids: Sequence[str] | None = None) -> tuple[int, int]:
        """Return how many of these runs, or of all, are still to be read again, and how many are parked."""
        chosen = None if run_ids is None else list(run_ids)
        async with self._database.acquire() as connection:
            (row,) = await connection.fetch(sql("replay_progress"), tracker, chosen)
        return row["behind"], row["parked"]

    async def overview(self, names: Sequence[str] = ()) -> list[DeliveryStatus]:
        """Return one line for each of these trackers and every other that anything is known of."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("tracker_overview"), list(names))
        return [_status(row) for row in rows]

    async def runs(self, tracker: str, run_id: str | None, limit: int) -> tuple[int, list[RunDelivery]]:
        """Return how many runs a tracker has and the first of them: parked, then waiting, then the newest."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("tracker_runs"), tracker, run_id, limit)
        found = [RunDelivery(*(row[name] for name in RunDelivery._fields)) for row in rows]
        return (rows[0]["total"] if rows else 0), found

    async def forget(self, tracker: str) -> int | None:
        """Forget a tracker and return with how many runs; None, and nothing done, while a process delivers to it."""
        lease = consumer_name(tracker)
        async with self._database.acquire() as connection:
            if not await connection.fetchval(sql("try_lease"), lease):
                return None
            try:
                async with connection.transaction():
                    runs: int = await connection.fetchval(sql("forget_deliveries"), tracker)
                    await connection.execute(sql("forget_offsets"), lease)
                    await connection.execute(sql("forget_tracker"), tracker)
            finally:
                await connection.execute(sql("release_lease"), lease)
        return runs


def _status(row: Any) -> DeliveryStatus:
    state = "running"
    if not row["is_delivering"]:
        state = "stopped"
    elif row["paused"]:
        state = "paused"
    elif row["circuit"] != "closed":
        state = "circuit open"
    return DeliveryStatus(
        state=state,
        retry_at=_us(row["retry_at"]) if state == "circuit open" else None,
        circuit_since=_us(row["circuit_since"]) if state == "circuit open" else None,
        **{name: row[name] for name in ("tracker", "runs", "parked", "waiting", "behind", "in_doubt", "paused")},
        last_error=row["last_error"],
    )


def _us(time: datetime | None) -> int | None:
    return None if time is None else round(time.timestamp() * 1e6)
