"""
Connections to PostgreSQL, with its errors in our words.

Every other file of this folder takes connections from here. `translate` is the one place that knows which of
asyncpg's errors heal by waiting: a refused password never does, a server that is starting does.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg

from schemas.errors import StoreRefused, StoreUnavailable, TrackingError

Pool = asyncpg.Pool
Connection = asyncpg.Connection
PooledConnection = asyncpg.pool.PoolConnectionProxy

CONNECT_TIMEOUT_S = 10
_HEALS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection cut while its first statement was prepared
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process was paused in the middle of a batch
    asyncpg.QueryCanceledError,
)
_REFUSALS = {
    asyncpg.InvalidPasswordError: "correct the password in GATEWAY_POSTGRES",
    asyncpg.InvalidAuthorizationSpecificationError: "correct user and password in GATEWAY_POSTGRES",
    asyncpg.InvalidCatalogNameError: "create the database, or correct its name in GATEWAY_POSTGRES",
}


def address(dsn: str) -> str:
    """Return host:port/database of a dsn, without user and password, for messages."""
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'local'}:{parts.port or 5432}{parts.path}"


def translate(error: Exception, where: str) -> TrackingError | None:
    """Return our error for one of PostgreSQL's, or None when it is neither an outage nor a refused connection."""
    for kind, next_step in _REFUSALS.items():
        if isinstance(error, kind):
            return StoreRefused(f"PostgreSQL at {where} refused the connection ({error}): {next_step}")
    if isinstance(error, asyncpg.UndefinedTableError):
        return StoreUnavailable(f"PostgreSQL at {where} has no tables yet ({error}): start the materialiser")
    if isinstance(error, _HEALS):
        return StoreUnavailable(f"PostgreSQL at {where} cannot be reached ({error or type(error).__name__})")
    return None


@asynccontextmanager
async def translated(where: str) -> AsyncIterator[None]:
    """Raise PostgreSQL's outages and refusals as StoreUnavailable and StoreRefused; let other errors through."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        ours = translate(error, where)
        if ours is None:
            raise
        raise ours from error


async def open_pool(dsn: str, *, size: int = 4, command_timeout_s: float = 120, **server_settings: str) -> Pool:
    """
    Return a pool of at most `size` connections, the first of them open; each has these settings of the server.

    Raises StoreUnavailable when the server cannot be reached, StoreRefused when it refuses.
    """
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise StoreRefused("GATEWAY_POSTGRES is no PostgreSQL address: write postgresql://user:password@host:port/db")
    async with translated(address(dsn)):
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            init=_prepare,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=command_timeout_s,
            server_settings=server_settings,
        )


async def _prepare(connection: Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
