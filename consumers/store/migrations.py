"""
Migrate a database to the schema of this release.

Forward-only SQL files in sql/migrations, applied by pogo-core, which uses asyncpg. Every process that writes calls
`migrate` at its start; an advisory lock lets one of them do the work while the others wait.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pogo_core.util import migrate as pogo
from pogo_core.util import sql as pogo_sql

from consumers.store.pool import Database, PooledConnection

FOLDER = Path(__file__).parent / "sql" / "migrations"
LIVE = "public"
_LOCK = 7_203_114_550_114_002  # any number that nothing else in the database locks
_LONG_S = 86_400.0
_QUIET = logging.getLogger("consumers.store.migrations")


def released() -> frozenset[str]:
    """Return the names of the migrations of this release."""
    return frozenset(path.stem for path in FOLDER.glob("*.sql"))


async def migrate(database: Database, schema: str = LIVE) -> None:
    """
    Apply missing migrations in order. Does nothing if the database is up to date.

    Connections of `database` must create objects in `schema` by default: their search_path begins with it.
    Raises StoreUnavailable if the connection breaks; calling it again continues.
    """
    async with database.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            await connection.execute("SET statement_timeout = 0")  # interrupted again and again it never ended
            patient: Any = _Patient(connection)
            await pogo_sql.ensure_pogo_sync(patient)
            applied = await pogo_sql.get_applied_migrations(patient, schema_name=schema)
            if released() - applied:  # else nothing is read: pogo takes 0.2 s of a core to parse all files
                await pogo.apply(patient, FOLDER, schema_name=schema, logger=_QUIET)
        finally:
            await connection.execute("RESET statement_timeout")
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


class _Patient:
    """A connection whose statements may take hours: one that moves all points does, and must not start over."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, statement: str, *values: Any) -> str:
        return str(await self._connection.execute(statement, *values, timeout=_LONG_S))
