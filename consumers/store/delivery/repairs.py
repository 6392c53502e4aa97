"""
Rows of deliveries that a repair sets aside and starts over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from consumers.store.delivery.checkpoints import plugin_state
from consumers.store.pool import Database
from consumers.store.statements import sql


async def deleted_runs(database: Database, tracker: str, run_ids: Sequence[str] = ()) -> list[str]:
    """Return deleted runs that a tracker had in part or in full, only among these if given. Raises StoreUnavailable."""
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("deleted_run_ids"), tracker, list(run_ids) or None)
    return [row["run_id"] for row in rows]


async def orphaned_runs(database: Database, tracker: str) -> list[str]:
    """Return runs that a tracker received and PostgreSQL does not have. Raises StoreUnavailable."""
    async with database.acquire() as connection:
        rows = await connection.fetch(sql("runs_only_delivered"), tracker)
    return [row["run_id"] for row in rows]


class RunPosition(NamedTuple):
    """Position of a run in the log, and how far it was delivered."""

    partition: int
    first_offset: int | None  # None: an older release did not record it
    next_offset: int  # PostgreSQL holds everything below
    delivered: int  # the tracker holds everything below


class Repairs:
    """Runs of one tracker that are written again. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database, tracker: str) -> None:
        self._database, self._tracker = database, tracker

    async def set_aside(self, run_id: str, reason: str, *, has_lease: bool) -> Mapping[str, Any] | None:
        """
        Park a run so that no delivery touches it, and return the tracker's state of it.

        Returns None, and does nothing, while a delivery call for it is in progress; `has_lease` states that none can
        be.
        """
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(sql("set_aside"), self._tracker, run_id, reason, has_lease)
        return None if row is None else plugin_state(row["exact_state"])

    async def positions(self, run_ids: Sequence[str]) -> dict[str, RunPosition]:
        """Return the positions of these runs in the log."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(sql("run_positions"), self._tracker, list(run_ids))
        return {row["run_id"]: RunPosition(*(row[name] for name in RunPosition._fields)) for row in rows}

    async def start_over(self, run_id: str, state: Mapping[str, Any]) -> None:
        """Order that a run which was set aside is reread from its first record, with this state."""
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(sql("start_over"), self._tracker, run_id, dict(state))
            await connection.execute(sql("order_reading"), self._tracker)
