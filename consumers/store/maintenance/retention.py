"""
What PostgreSQL keeps of each month, and dropping the points of old ones.

A drop is one transaction a month: a row that says so for ever, and DROP TABLE of the partition. Rows of runs, series,
parameters and producers stay, and go on when late events come. While it lasts no worker may move an offset, so nobody
writes a point beside it; readers wait half a second at most, and are never cut off. The log keeps every event.
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
    """What there is of the runs of one month; of a dropped one, what was dropped."""

    month: int  # YYYYMM, see months.py
    kept: bool  # it has points that can be dropped
    dropped: datetime | None
    late_points: int  # that came after the drop: counted in their series, not kept
    running: int  # runs that said something just now
    runs: int
    points: int
    bytes: int  # of points, indexes included


class Retention:
    """Questions and the one decision about the months of a database."""

    def __init__(self, database: Database, *, lost_after_s: float = LOST_AFTER_S) -> None:
        self._database, self._lost_after_s = database, lost_after_s

    async def months(self) -> list[Month]:
        """Return every month that has runs, points or a drop, the newest first. Raises StoreUnavailable."""
        async with self._database.acquire() as connection:
            return await self._list(connection, None)

    async def drop(self, month: int, *, even_running: bool = False) -> Month | None:
        """
        Drop the points of a month for good, and return what was dropped.

        None when there is nothing to drop, or when a run of it is running and `even_running` is not said. Raises Busy
        when somebody uses the points just now, StoreRefused while a rebuild is at work.
        """
        async with self._database.acquire() as connection, connection.transaction():
            if not await connection.fetchval(sql("try_lease_until_end"), LEASE):
                raise StoreRefused(
                    f"a `gateway rebuild` is at work on PostgreSQL at {self._database}: wait for its end, then drop"
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
        """Return who has been using the tables for longer than a second, the oldest first."""
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
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise Busy(f"PostgreSQL at {self._database}: somebody reads points") from error
        except asyncpg.DependentObjectsStillExistError as error:
            why = "; ".join((error.detail or str(error)).splitlines())
            raise StoreRefused(
                f"PostgreSQL at {self._database} keeps the points ({why}): drop what hangs on them, then try again"
            ) from error

    async def _list(self, connection: PooledConnection, month: int | None) -> list[Month]:
        return [Month(**row) for row in await connection.fetch(sql("list_months"), month, self._lost_after_s)]
