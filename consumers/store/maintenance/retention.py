"""
List what PostgreSQL keeps of each month, and drop the points of old months.

A drop is one transaction per month: a permanent row that records it, and DROP TABLE of the partition. Rows of runs,
series, parameters and producers stay, and late events still update them. During a drop no worker can move an offset, so
no process writes points at the same time. Readers wait half a second at most and are never interrupted. The log keeps
every event.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import asyncpg

from consumers.store.maintenance.rebuild import LEASE, OFFSETS_LOCK, TABLES_LOCK, Busy
from consumers.store.pool import Database, PooledConnection
from consumers.store.statements import sql
from schemas.errors import StoreRefused
from schemas.runlog import LOST_AFTER_S


class Month(NamedTuple):
    """Totals of the runs of one month; of a dropped month, the totals when it was dropped."""

    month: int  # YYYYMM, see months.py
    kept: bool  # whether it has points that can be dropped
    dropped: datetime | None
    late_points: int  # points that arrived after the drop: counted in their series, not stored
    running: int  # runs that are running and not lost
    runs: int
    points: int
    bytes: int  # bytes of points, indexes included


class Retention:
    """Lists the months of a database and drops their points."""

    def __init__(self, database: Database, *, lost_after_s: float = LOST_AFTER_S) -> None:
        self._database, self._lost_after_s = database, lost_after_s

    async def months(self) -> list[Month]:
        """Return all months with runs, points or a drop, the newest first. Raises StoreUnavailable."""
        async with self._database.acquire() as connection:
            return await self._list(connection, None)

    async def drop(self, month: int, *, even_running: bool = False) -> Month | None:
        """
        Drop the points of a month permanently, and return its totals.

        Returns None if there is nothing to drop, or if one of its runs is running and not `even_running`. Raises Busy
        if the points are in use, StoreRefused while a rebuild is running.
        """
        async with self._database.acquire() as connection, connection.transaction():
            if not await connection.fetchval(sql("try_lease_until_end"), LEASE):
                raise StoreRefused(
                    f"a `gateway rebuild` is running on PostgreSQL at {self._database}: wait for its end, then drop"
                )
            await self._hold(connection)
            found = await self._list(connection, month)
            if not found or not found[0].kept or (found[0].running and not even_running):
                return None
            one = found[0]
            await connection.execute(sql("remember_drop"), month, one.runs, one.points, one.bytes)
            await self._drop_partition(connection, month)
            return one

    async def blockers(self) -> list[str]:
        """Return the processes that have used the tables for longer than a second, the oldest first."""
        async with self._database.acquire() as connection:
            schema = await connection.fetchval(sql("live_schema"))
            rows = await connection.fetch(sql("exchange_blockers"), schema)
        return [f"process {row['pid']} ({row['program']}), since {row['xact_start']:%H:%M:%S}" for row in rows]

    async def _hold(self, connection: PooledConnection) -> None:
        await connection.execute(OFFSETS_LOCK)
        try:
            await connection.execute(sql("hold_offsets"))
        except asyncpg.LockNotAvailableError as error:
            raise Busy(f"PostgreSQL at {self._database}: a batch has been in progress for 5 s") from error

    async def _drop_partition(self, connection: PooledConnection, month: int) -> None:
        await connection.execute(TABLES_LOCK)
        try:
            for row in await connection.fetch(sql("drop_plan"), month):
                await connection.execute(row[0])
            await connection.execute(sql("drop_groups"), month)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise Busy(f"PostgreSQL at {self._database}: points are being read") from error
        except asyncpg.DependentObjectsStillExistError as error:
            why = "; ".join((error.detail or str(error)).splitlines())
            raise StoreRefused(
                f"PostgreSQL at {self._database} keeps the points ({why}): "
                "drop the objects that depend on them, then try again"
            ) from error

    async def _list(self, connection: PooledConnection, month: int | None) -> list[Month]:
        return [Month(**row) for row in await connection.fetch(sql("list_months"), month, self._lost_after_s)]
