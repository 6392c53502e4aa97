"""
Rows of deliveries that a repair takes out and lets begin again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from consumers.store.pool import Database
from consumers.store.statements import sql


async def deleted_runs(database: Database, tracker: str, run_ids: Sequence[str] = ()) -> list[str]:
    """Return runs that were deleted and of which a tracker had something; of these, if any. Raises StoreUnavailable."""
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("deleted_run_ids"), tracker, list(run_ids) or None)
    return [row["run_id"] for row in rows]


class RunPosition(NamedTuple):
    """Where a run is in the log, and how far it was brought."""

    partition: int
    first_offset: int | None  # None: an older release did not write it down
    next_offset: int  # PostgreSQL has all of it below
    delivered: int  # the tracker has


class Repairs:
    """Runs of one tracker that are written anew. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database, tracker: str) -> None:
        self._database, self._tracker = database, tracker

    async def set_aside(self, run_id: str, reason: str, *, has_lease: bool) -> Mapping[str, Any] | None:
        """
        Keep deliveries from a run and return the tracker's state of it.

        None, and nothing done, while a delivery is about to give it something; `has_lease` says that none can be.
        """
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(sql("set_aside"), self._tracker, run_id, reason, has_lease)
        return None if row is None else dict(row["state"])

    async def positions(self, run_ids: Sequence[str]) -> dict[str, RunPosition]:
        """Return where these runs are in the log."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("run_places"), self._tracker, list(run_ids))
        return {row["run_id"]: RunPosition(*(row[name] for name in RunPosition._fields)) for row in rows}

    async def start_over(self, run_id: str, state: Mapping[str, Any]) -> None:
        """Have a run that was set aside read again from its first record, with this state."""
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(sql("start_over"), self._tracker, run_id, dict(state))
            await connection.execute(sql("order_reading"), self._tracker)
