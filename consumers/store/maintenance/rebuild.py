"""
New tables next to the live ones, into which the log is folded again, and their exchange.

The new tables are in the schema gateway_rebuild. The same migrations create them and the same code writes them, through
connections whose search_path names only that schema, so nothing there can reach a live table. Tables that are not
folded from the log (KEPT) stay in place. Points of months that retention dropped are left out of the new tables, too.
The exchange is one transaction. A worker that waits for it continues in the new tables, because its offset row is the
same and statements find tables by name.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import asyncpg

from consumers.store.migrations import LIVE, migrate, released
from consumers.store.pool import Database, PooledConnection, open_database, translated
from consumers.store.statements import sql
from schemas.errors import StoreRefused, StoreUnavailable

SCHEMA = "gateway_rebuild"
# LIKE patterns of tables with decisions of people and consumers: the log does not have them.
KEPT = (
    "consumer\\_offsets",
    "deliveries%",
    "trackers",
    "dead\\_letters\\_published",
    "dead\\_letters\\_settled",
    "retention\\_dropped",
    "run\\_partitions%",
    "alert\\_%",
    "alerts",
)
LEASE = "rebuild"
OFFSETS_LOCK = "SET LOCAL lock_timeout = '5s'"  # a worker may be in the middle of a batch
# Below PostgreSQL's deadlock_timeout, so that this process gives way and not a reader.
TABLES_LOCK = "SET LOCAL lock_timeout = '500ms'"
COMPARING_TIMEOUT_S = 86_400.0


class RebuildOrigin(NamedTuple):
    """Origin of a rebuild. An interrupted rebuild is continued only if its origin is the same."""

    topic: str
    fold: str  # identity of the folding code


class Busy(StoreUnavailable):
    """The tables are in use: try again."""


class Rebuilding:
    """The live and the new tables. `rebuilding` gives an instance."""

    def __init__(self, live: Database, side: Database, consumer: str, topic: str) -> None:
        self.live, self.side = live, side
        self._consumer, self._topic = consumer, topic

    async def origin(self) -> RebuildOrigin | None:
        """Return the origin of the new tables, None if there are none. Raises StoreRefused if they are not ours."""
        async with self.live.acquire() as connection:
            found = await connection.fetchval(sql("begun_rebuild"))
        if found is None:
            return None
        try:
            return RebuildOrigin(**json.loads(found))
        except (ValueError, TypeError):
            raise StoreRefused(
                f"PostgreSQL at {self.live} has a schema {SCHEMA} that `gateway rebuild` did not create: rename it"
            ) from None

    async def begin(self, origin: RebuildOrigin) -> None:
        """Create the new tables if they do not exist."""
        async with _refused(self.live.address):
            if await self.origin() is None:
                async with self.live.acquire() as connection, connection.transaction():
                    for row in await connection.fetch(sql("begin_rebuild"), json.dumps(origin._asdict())):
                        await connection.execute(row[0])
            await migrate(self.side, SCHEMA)
            await self._drop_months()

    async def _drop_months(self) -> None:
        """Drop months that retention dropped from the new tables. None can be dropped while a rebuild is running."""
        async with self.live.acquire() as connection, connection.transaction():
            await connection.execute(sql("copy_dropped"))
            for row in await connection.fetch(sql("drop_months_plan")):
                await connection.execute(row[0])
            await connection.execute(sql("drop_rebuilt_groups"))

    async def drop(self) -> None:
        """Drop the new tables."""
        async with _refused(self.live.address), self.live.acquire() as connection, connection.transaction():
            await connection.execute(sql("drop_rebuild"))
            await connection.execute(sql("forget_rebuild"))

    async def offsets(self) -> dict[int, int]:
        """Return the offsets up to which the live tables are folded; partitions without a record are absent."""
        async with self.live.acquire() as connection:
            return await self._offsets(connection)

    async def side_offsets(self) -> dict[int, int]:
        """Return the offsets up to which the new tables are folded; {} if there are none."""
        async with self.side.acquire() as connection:
            try:
                return await self._offsets(connection)
            except asyncpg.UndefinedTableError:
                return {}

    async def side_points(self) -> int:
        """Return the number of points in the new tables."""
        async with self.side.acquire() as connection:
            return int(await connection.fetchval(sql("rebuilt_points")))

    async def _offsets(self, connection: PooledConnection) -> dict[int, int]:
        rows = await connection.fetch(sql("load_offsets"), self._consumer, self._topic)
        return {row["partition"]: row["next_offset"] for row in rows if row["next_offset"]}

    @asynccontextmanager
    async def held(self) -> AsyncIterator[tuple[PooledConnection, dict[int, int]]]:
        """
        Prevent workers from committing during the block; yield a connection in that transaction, and the live offsets.

        Raises Busy if a worker does not finish its batch in time.
        """
        async with self.live.acquire() as connection, connection.transaction():
            await connection.execute(OFFSETS_LOCK)
            try:
                await connection.execute(sql("hold_offsets"))
            except asyncpg.LockNotAvailableError as error:
                raise Busy(f"PostgreSQL at {self.live}: a batch has been in progress for 5 s") from error
            yield connection, await self._offsets(connection)

    async def analyse(self) -> None:
        """Collect the planner's statistics of the new tables before they are read."""
        async with self.live.acquire() as connection:
            for row in await connection.fetch(sql("analyse_plan")):
                await connection.execute(row[0])

    async def exchange(self, connection: PooledConnection) -> None:
        """
        Replace the live tables by the new ones, in the caller's transaction from `held`.

        Raises Busy if they are being read for long, StoreRefused if other objects in the database depend on them.
        """
        live = await self._live_schema(connection)
        if await self._migrations(connection, SCHEMA) != await self._migrations(connection, LIVE):
            raise StoreRefused(
                f"PostgreSQL at {self.live} was migrated meanwhile: run `gateway rebuild --restart` of that release"
            )
        await connection.execute(TABLES_LOCK)
        try:
            locks = await connection.fetchval(sql("exchange_locks"), live, list(KEPT))
            await connection.execute(locks)
            for row in await connection.fetch(sql("exchange_plan"), live, list(KEPT)):
                await connection.execute(row[0])
            await connection.execute(sql("forget_rebuild"))
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise Busy(f"PostgreSQL at {self.live}: the tables are being read") from error
        except asyncpg.DependentObjectsStillExistError as error:
            why = "; ".join((error.detail or str(error)).splitlines())
            raise StoreRefused(
                f"PostgreSQL at {self.live} keeps the old tables ({why}): "
                "drop the objects that depend on them, run `gateway rebuild` again, and create them again"
            ) from error

    async def blockers(self) -> list[str]:
        """Return the processes that have used the live tables for longer than a second, the oldest first."""
        async with self.live.acquire() as connection:
            rows = await connection.fetch(sql("exchange_blockers"), await self._live_schema(connection))
        return [f"process {row['pid']} ({row['program']}), since {row['xact_start']:%H:%M:%S}" for row in rows]

    async def check_release(self) -> None:
        """Raise StoreRefused if the live tables are not those of this release, or not of this log alone."""
        async with self.live.acquire() as connection:
            found, ours = await self._migrations(connection, LIVE), released()
            others = await connection.fetch(sql("other_topics"), self._consumer, self._topic)
        if newer := found - ours:
            raise StoreRefused(
                f"PostgreSQL at {self.live} was migrated by a newer release ({max(newer)}): use `gateway` of that one"
            )
        if missing := ours - found:
            raise StoreRefused(
                f"PostgreSQL at {self.live} does not have the tables of this release ({min(missing)} is missing): "
                "start its materialiser, which migrates them, then rebuild"
            )
        if others:
            raise StoreRefused(
                f"PostgreSQL at {self.live} also holds rows folded from {others[0][0]}: "
                "a rebuild would lose it; fold one topic into one database"
            )

    async def _migrations(self, connection: PooledConnection, schema: str) -> frozenset[str]:
        return frozenset(row[0] for row in await connection.fetch(sql("applied_migrations"), schema))

    async def _live_schema(self, connection: PooledConnection) -> str:
        return str(await connection.fetchval(sql("live_schema")))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[tuple[PooledConnection, Callable[[], Awaitable[str]]]]:
        """Yield a connection, and a function that takes its snapshot when called and returns the live schema."""
        async with self.live.acquire() as connection:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)

            async def begin() -> str:
                await transaction.start()
                return await self._live_schema(connection)  # the first statement takes the snapshot

            try:
                yield connection, begin
            finally:
                if connection.is_in_transaction():
                    await transaction.rollback()


@asynccontextmanager
async def rebuilding(dsn: str, consumer: str, topic: str) -> AsyncIterator[Rebuilding]:
    """
    Be the only rebuild of this database during the block.

    Raises StoreUnavailable without PostgreSQL, StoreRefused if another rebuild is running.
    """
    live = await open_database(dsn, size=4, command_timeout_s=COMPARING_TIMEOUT_S, application_name="gateway rebuild")
    try:
        # A crash may lose the last transactions together with their offsets. The exchange itself is synchronous.
        side = await open_database(dsn, size=2, search_path=SCHEMA, synchronous_commit="off")
        try:
            async with live.acquire() as lease:
                if not await lease.fetchval(sql("try_lease"), LEASE):
                    raise StoreRefused(
                        f"another `gateway rebuild` is running on PostgreSQL at {live}: wait for its end, or stop it"
                    )
                yield Rebuilding(live, side, consumer, topic)
        finally:
            side.terminate()
    finally:
        live.terminate()  # each step is a separate transaction: nothing is lost, and an interrupt takes effect at once


@asynccontextmanager
async def _refused(address: str) -> AsyncIterator[None]:
    try:
        async with translated(address):
            yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreRefused(
            f"PostgreSQL at {address} does not let this user create a schema ({error}): GRANT CREATE ON DATABASE to it"
        ) from error
