"""
Tables beside the live ones, for a log folded again, and the moment they take their place.

They are in the schema gateway_rebuild, made by the same migrations, and written by the same code through connections
whose search_path names that schema only: nothing there can reach a live table. Tables that are not folded from the
log (KEPT) stay in place; points of months that retention dropped are left out beside, too. The exchange is one
transaction; a worker that waits for it goes on in the new tables, because its offset row is the same and statements
find tables by name.
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
# LIKE patterns of tables that hold what people and deliveries decided, and how far consumers are.
KEPT = (
    "consumer\\_offsets",
    "deliveries%",
    "trackers",
    "dead\\_letters\\_published",
    "dead\\_letters\\_settled",
    "retention\\_dropped",
)
LEASE = "rebuild"
OFFSETS_LOCK = "SET LOCAL lock_timeout = '5s'"  # a batch of a worker may be in progress
TABLES_LOCK = "SET LOCAL lock_timeout = '500ms'"  # below PostgreSQL's deadlock_timeout: we give way, not a reader
COMPARING_TIMEOUT_S = 86_400.0


class RebuildOrigin(NamedTuple):
    """What a rebuild was begun with; one that was interrupted is gone on with only when it is the same."""

    topic: str
    fold: str  # identity of the code that folds


class Busy(StoreUnavailable):
    """Somebody uses the tables just now: try again."""


class Rebuilding:
    """The live tables and those beside them. Use `rebuilding` to get one."""

    def __init__(self, live: Database, side: Database, consumer: str, topic: str) -> None:
        self.live, self.side = live, side
        self._consumer, self._topic = consumer, topic

    async def origin(self) -> RebuildOrigin | None:
        """Return what the tables beside were begun with, None when there are none. StoreRefused: not of ours."""
        async with self.live.acquire() as connection:
            found = await connection.fetchval(sql("begun_rebuild"))
        if found is None:
            return None
        try:
            return RebuildOrigin(**json.loads(found))
        except (ValueError, TypeError):
            raise StoreRefused(
                f"PostgreSQL at {self.live} has a schema {SCHEMA} that `gateway rebuild` did not make: rename it"
            ) from None

    async def begin(self, origin: RebuildOrigin) -> None:
        """Make sure that the tables beside are there."""
        async with _refused(self.live.address):
            if await self.origin() is None:
                async with self.live.acquire() as connection, connection.transaction():
                    for row in await connection.fetch(sql("begin_rebuild"), json.dumps(origin._asdict())):
                        await connection.execute(row[0])
            await migrate(self.side, SCHEMA)
            await self._drop_beside()

    async def _drop_beside(self) -> None:
        """Leave out, beside too, the months that retention dropped; none can be dropped while a rebuild is at work."""
        async with self.live.acquire() as connection, connection.transaction():
            await connection.execute(sql("copy_dropped"))
            for row in await connection.fetch(sql("drop_beside_plan")):
                await connection.execute(row[0])

    async def drop(self) -> None:
        """Drop the tables beside."""
        async with _refused(self.live.address), self.live.acquire() as connection, connection.transaction():
            await connection.execute(sql("drop_rebuild"))
            await connection.execute(sql("forget_rebuild"))

    async def offsets(self) -> dict[int, int]:
        """Return how far the live tables are folded, by partition; partitions without a record are absent."""
        async with self.live.acquire() as connection:
            return await self._offsets(connection)

    async def side_offsets(self) -> dict[int, int]:
        """Return how far the tables beside are folded; {} when there are none."""
        async with self.side.acquire() as connection:
            try:
                return await self._offsets(connection)
            except asyncpg.UndefinedTableError:
                return {}

    async def side_points(self) -> int:
        """Return how many points the tables beside hold."""
        async with self.side.acquire() as connection:
            return int(await connection.fetchval(sql("rebuilt_points")))

    async def _offsets(self, connection: PooledConnection) -> dict[int, int]:
        rows = await connection.fetch(sql("load_offsets"), self._consumer, self._topic)
        return {row["partition"]: row["next_offset"] for row in rows if row["next_offset"]}

    @asynccontextmanager
    async def held(self) -> AsyncIterator[tuple[PooledConnection, dict[int, int]]]:
        """
        Let no worker commit until the end of the block, and give a connection in that transaction and the live offsets.

        Raises Busy when a worker does not finish its batch in time.
        """
        async with self.live.acquire() as connection, connection.transaction():
            await connection.execute(OFFSETS_LOCK)
            try:
                await connection.execute(sql("hold_offsets"))
            except asyncpg.LockNotAvailableError as error:
                raise Busy(f"PostgreSQL at {self.live}: a batch has been in progress for 5 s") from error
            yield connection, await self._offsets(connection)

    async def analyse(self) -> None:
        """Let the planner know the tables beside before anybody reads them."""
        async with self.live.acquire() as connection:
            for row in await connection.fetch(sql("analyse_plan")):
                await connection.execute(row[0])

    async def exchange(self, connection: PooledConnection) -> None:
        """
        Put the tables beside in the place of the live ones; the transaction is the caller's, from `held`.

        Raises Busy when somebody reads them for long, StoreRefused when something else in the database hangs on them.
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
            raise Busy(f"PostgreSQL at {self.live}: somebody reads the tables") from error
        except asyncpg.DependentObjectsStillExistError as error:
            why = "; ".join((error.detail or str(error)).splitlines())
            raise StoreRefused(
                f"PostgreSQL at {self.live} keeps the old tables ({why}): "
                "drop what hangs on them, run `gateway rebuild` again, and create it again"
            ) from error

    async def blockers(self) -> list[str]:
        """Return who has been using the live tables for longer than a second, the oldest first."""
        async with self.live.acquire() as connection:
            rows = await connection.fetch(sql("exchange_blockers"), await self._live_schema(connection))
        return [f"process {row['pid']} ({row['program']}), since {row['xact_start']:%H:%M:%S}" for row in rows]

    async def check_release(self) -> None:
        """Raise StoreRefused when the live tables are not those of this release, or not of this log alone."""
        async with self.live.acquire() as connection:
            found, ours = await self._migrations(connection, LIVE), released()
            others = await connection.fetch(sql("other_topics"), self._consumer, self._topic)
        if newer := found - ours:
            raise StoreRefused(
                f"PostgreSQL at {self.live} was migrated by a newer release ({max(newer)}): use `gateway` of that one"
            )
        if missing := ours - found:
            raise StoreRefused(
                f"PostgreSQL at {self.live} has not the tables of this release ({min(missing)} is missing): "
                "start its materialiser, which migrates them, then rebuild"
            )
        if others:
            raise StoreRefused(
                f"PostgreSQL at {self.live} also holds what was folded from {others[0][0]}: "
                "a rebuild would lose it; fold one topic into one database"
            )

    async def _migrations(self, connection: PooledConnection, schema: str) -> frozenset[str]:
        return frozenset(row[0] for row in await connection.fetch(sql("applied_migrations"), schema))

    async def _live_schema(self, connection: PooledConnection) -> str:
        return str(await connection.fetchval(sql("live_schema")))

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[tuple[PooledConnection, Callable[[], Awaitable[str]]]]:
        """Give a connection, and what makes it see for good what is there when called; it returns the live schema."""
        async with self.live.acquire() as connection:
            transaction = connection.transaction(isolation="repeatable_read", readonly=True)

            async def begin() -> str:
                await transaction.start()
                return await self._live_schema(connection)  # the first question takes the snapshot

            try:
                yield connection, begin
            finally:
                if connection.is_in_transaction():
                    await transaction.rollback()


@asynccontextmanager
async def rebuilding(dsn: str, consumer: str, topic: str) -> AsyncIterator[Rebuilding]:
    """
    Be the only rebuild of this database, from now to the end of the block.

    Raises StoreUnavailable without PostgreSQL, StoreRefused when another rebuild is at work.
    """
    live = await open_database(dsn, size=4, command_timeout_s=COMPARING_TIMEOUT_S, application_name="gateway rebuild")
    try:
        # A crash may cost the last moments, and the offsets beside say so; the exchange itself is synchronous.
        side = await open_database(dsn, size=2, search_path=SCHEMA, synchronous_commit="off")
        try:
            async with live.acquire() as lease:
                if not await lease.fetchval(sql("try_lease"), LEASE):
                    raise StoreRefused(
                        f"another `gateway rebuild` is at work on PostgreSQL at {live}: wait for its end, or stop it"
                    )
                yield Rebuilding(live, side, consumer, topic)
        finally:
            side.terminate()
    finally:
        live.terminate()  # every step is a transaction of its own: nothing is lost, and an interrupt is quick


@asynccontextmanager
async def _refused(address: str) -> AsyncIterator[None]:
    try:
        async with translated(address):
            yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreRefused(
            f"PostgreSQL at {address} does not let this user make a schema ({error}): GRANT CREATE ON DATABASE to it"
        ) from error
