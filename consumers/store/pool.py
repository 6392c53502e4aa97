"""
Connections to PostgreSQL, with its errors translated into ours.

All other modules of this folder take their connections from here. Only `translate` knows which of asyncpg's errors are
outages, after which retrying helps: a server that is starting is one, a refused password is not.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

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
    asyncpg.InternalClientError,  # a connection that broke while its first statement was prepared
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process was paused in the middle of a batch
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # a standby, until a failover has promoted it
)
_REFUSALS = {
    asyncpg.InvalidPasswordError: "correct the password in GATEWAY_POSTGRES",
    asyncpg.InvalidAuthorizationSpecificationError: "correct user and password in GATEWAY_POSTGRES",
    asyncpg.InvalidCatalogNameError: "create the database, or correct its name in GATEWAY_POSTGRES",
    asyncpg.ClientConfigurationError: "correct GATEWAY_POSTGRES",
    asyncpg.InsufficientPrivilegeError: "grant its user the rights to create and write the tables",
}


def translate(error: Exception, address: str) -> TrackingError | None:
    """Return our error for one of PostgreSQL's, None if it is neither an outage nor a refused connection."""
    for kind, next_step in _REFUSALS.items():
        if isinstance(error, kind):
            return StoreRefused(f"PostgreSQL at {address} refused the connection ({error}): {next_step}")
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return StoreUnavailable(f"PostgreSQL at {address} is read-only ({error}), as during a failover")
    if isinstance(error, asyncpg.UndefinedTableError):
        return StoreUnavailable(f"PostgreSQL at {address} has no tables yet ({error}): start the materialiser")
    if isinstance(error, asyncpg.LockNotAvailableError):
        return StoreUnavailable(f"a table of PostgreSQL at {address} is locked ({error})")
    if isinstance(error, asyncpg.QueryCanceledError):
        return StoreUnavailable(f"PostgreSQL at {address} ended a statement ({error}): ask for less at once")
    if isinstance(error, _HEALS) and not isinstance(error, ValueError):  # asyncpg's word for a value of the caller
        return StoreUnavailable(f"PostgreSQL at {address} cannot be reached ({error or type(error).__name__})")
    return None


@asynccontextmanager
async def translated(address: str) -> AsyncIterator[None]:
    """Raise PostgreSQL's outages and refusals as StoreUnavailable and StoreRefused; pass other errors on."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        ours = translate(error, address)
        if ours is None:
            raise
        raise ours from error


def is_open(connection: PooledConnection) -> bool:
    """
    Tell whether a borrowed connection still serves. Never raises.

    asyncpg's own `is_closed` raises InterfaceError for a connection that broke and that its pool has taken back.
    """
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:
        return False


@dataclass(frozen=True)
class Database:
    """A pool of connections to one PostgreSQL database, and its address for messages."""

    pool: Pool
    address: str  # host:port/database, without user and password; str() gives it

    def __str__(self) -> str:
        return self.address

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[PooledConnection]:
        """Lend a connection. Raises outages and refusals in the block as StoreUnavailable and StoreRefused."""
        async with translated(self.address), self.pool.acquire() as connection:
            try:
                yield connection
            except asyncpg.ReadOnlySQLTransactionError:
                await self.pool.expire_connections()  # after a failover the address may lead to another server
                raise

    async def close(self) -> None:
        """Wait until all connections are returned, then close them."""
        await self.pool.close()

    def terminate(self) -> None:
        """Close all connections at once, also those in use."""
        self.pool.terminate()


async def open_database(dsn: str, *, size: int = 4, command_timeout_s: float = 120, **server_settings: str) -> Database:
    """
    Open a database with at most `size` connections, each with these settings of the server. One is open on return.

    Raises StoreUnavailable if the server cannot be reached, StoreRefused if it refuses.
    """
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise StoreRefused(
            "GATEWAY_POSTGRES is not a PostgreSQL address: write postgresql://user:password@host:port/db"
        )
    address = _printable(dsn)
    async with translated(address):
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            init=_prepare,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=command_timeout_s,
            server_settings=server_settings,
        )
    return Database(pool, address)


def _printable(dsn: str) -> str:
    # Not urlsplit: it takes a part of a password that holds / for the port, and names it in its error.
    servers, slash, path = dsn.partition("://")[2].rpartition("@")[2].partition("?")[0].partition("/")
    if ":" not in servers and "," not in servers:  # several, of which one is writable: ?target_session_attrs=...
        servers = f"{servers or 'local'}:5432"
    return servers + slash + path


async def _prepare(connection: Connection) -> None:
    for name, decoder in (("json", json.loads), ("jsonb", from_jsonb)):
        await connection.set_type_codec(name, encoder=json.dumps, decoder=decoder, schema="pg_catalog")


def from_jsonb(text: str) -> Any:
    """
    Return stored JSON as the contract has it: a number beyond 64 bits is a float64.

    PostgreSQL prints the float 1e20 with all its digits and no point; as an int it could not be written again. Read
    a column as json if its integers must stay exact.
    """
    return json.loads(text, parse_int=_number)


def _number(digits: str) -> int | float:
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else float(number)
