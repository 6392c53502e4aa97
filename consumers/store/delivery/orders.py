"""
Orders of people about trackers, and the status of each tracker.

Commands write orders, and deliveries read them a few times a second. Deliveries write whether their tracker answers,
and commands and the API read that. Partition offsets have passed a run that is unparked, so its delivery rereads the
log for it, from the run's own offset.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from consumers.store.offsets import consumer_name
from consumers.store.pool import Database
from consumers.store.statements import sql
from schemas.api import DeliveryStatus

CircuitState = Literal["closed", "open", "probing"]


class Orders(NamedTuple):
    """Orders for one delivery."""

    paused: bool = False
    number: int = 0  # grows whenever runs are to be reread


class RereadPosition(NamedTuple):
    """From where a run is to be reread."""

    partition: int
    next_offset: int


class CircuitReport(NamedTuple):
    """State of a tracker's circuit breaker."""

    state: CircuitState = "closed"
    since: datetime | None = None
    retry_at: datetime | None = None
    error: str = ""


class RunDelivery(NamedTuple):
    """How far one run is delivered to a tracker."""

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
    """Orders and status in PostgreSQL. Every method raises StoreUnavailable while it is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def orders(self, tracker: str) -> Orders:
        """Return the present orders for a delivery."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(sql("tracker_orders"), tracker)
        return Orders(row["paused"], row["orders"]) if row else Orders()

    async def rereads(self, tracker: str) -> dict[str, RereadPosition]:
        """Return the runs that are to be reread, by run id."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("tracker_rereads"), tracker)
        return {row["run_id"]: RereadPosition(row["partition"], row["next_offset"]) for row in rows}

    async def caught_up(self, tracker: str, run_ids: Sequence[str]) -> None:
        """Record that these runs have caught up with the partition offsets."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("caught_up"), tracker, list(run_ids))

    async def park(self, tracker: str, reasons: Mapping[str, str]) -> None:
        """Park runs that cannot be reread, each with its reason."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("park_behind"), tracker, list(reasons), list(reasons.values()))

    async def report(self, tracker: str, circuit: CircuitReport) -> None:
        """Record whether a tracker answers."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("report_circuit"), tracker, *circuit)

    async def reported(self, tracker: str) -> CircuitReport:
        """Return the last report on whether a tracker answers."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(sql("tracker_circuit"), tracker)
        return CircuitReport(*row) if row else CircuitReport()

    async def pause(self, tracker: str, paused: bool) -> None:
        """Pause or resume the deliveries to a tracker. This survives restarts."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("pause_tracker"), tracker, paused)

    async def retry(self, tracker: str, run_ids: Sequence[str] | None) -> list[str]:
        """Unpark runs, all of them for None, and return their ids. Each continues exactly where it stopped."""
        chosen = None if run_ids is None else list(run_ids)
        async with self._database.acquire() as connection, connection.transaction():
            rows = await connection.fetch(sql("unpark"), tracker, chosen)
            await connection.execute(sql("order_reading"), tracker)
        return sorted(row["run_id"] for row in rows)

    async def choose(self, tracker: str, topic: str, run_ids: Sequence[str], *, known: bool) -> None:
        """
        Order the whole history of runs that a tracker never had, regardless of partition offsets.

        `known` also continues runs that it has in part; only the holder of the lease may set it.
        """
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(sql("choose_new_runs"), tracker, topic, list(run_ids))
            if known:
                await connection.execute(sql("choose_known_runs"), tracker, list(run_ids))
            await connection.execute(sql("order_reading"), tracker)

    async def is_delivering(self, tracker: str) -> bool:
        """Return whether a process delivers to a tracker now."""
        known = await self.overview([tracker])
        return any(one.tracker == tracker and one.state not in ("stopped", "one-off") for one in known)

    async def progress(self, tracker: str, run_ids: Sequence[str] | None = None) -> tuple[int, int]:
        """Return how many of these runs, or of all, are still to be reread, and how many are parked."""
        chosen = None if run_ids is None else list(run_ids)
        async with self._database.acquire() as connection:
            (row,) = await connection.fetch(sql("replay_progress"), tracker, chosen)
        return row["behind"], row["parked"]

    async def overview(self, names: Sequence[str] = (), *, live: Collection[str] = ()) -> list[DeliveryStatus]:
        """
        Return the status of each of these trackers, and of every other tracker with rows.

        `live` names the trackers that have a delivery of the whole log, whether it has begun or not.
        """
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("tracker_overview"), list({*names, *live}))
        return [_status(row, row["has_offsets"] or row["tracker"] in live) for row in rows]

    async def runs(self, tracker: str, run_id: str | None, limit: int) -> tuple[int, list[RunDelivery]]:
        """Return how many runs a tracker has, and the first `limit`: parked, then waiting, then the newest."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("tracker_runs"), tracker, run_id, limit)
        found = [RunDelivery(*(row[name] for name in RunDelivery._fields)) for row in rows]
        return (rows[0]["total"] if rows else 0), found

    async def forget(self, tracker: str) -> int | None:
        """Delete all rows of a tracker and return its number of runs; during a delivery do nothing and return None."""
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


def _status(row: Any, follows: bool) -> DeliveryStatus:
    state = "running"
    if not row["is_delivering"]:
        state = "stopped" if follows else "one-off"
    elif row["paused"]:
        state = "paused"
    elif row["circuit"] != "closed":
        state = "circuit open"
    return DeliveryStatus(
        state=state,
        follows=follows,
        retry_at=_us(row["retry_at"]) if state == "circuit open" else None,
        circuit_since=_us(row["circuit_since"]) if state == "circuit open" else None,
        **{name: row[name] for name in ("tracker", "runs", "parked", "waiting", "behind", "in_doubt", "paused")},
        last_error=row["last_error"],
    )


def _us(time: datetime | None) -> int | None:
    return None if time is None else round(time.timestamp() * 1e6)
