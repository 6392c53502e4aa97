"""
MLflow's PostgreSQL database: `postgresql://user:password@host/database`.

Connections are those of MLflow's store (SQLAlchemy, with the driver psycopg), at most as many as it keeps. Before the
store is opened, and before it changes anything, a query tells whether the database can be written: MLflow itself tries
ten times to connect, 101 s in total.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow.exceptions import MlflowException

from consumers.trackers.mlflow.database.connection import Column
from consumers.trackers.mlflow.database.revision import REVISION_SQL, check_new, check_revision
from consumers.trackers.mlflow.responses import NothingDone
from schemas.errors import BadSettings, TrackerRefused, TrackerUnavailable
from schemas.runtime.text import mask_password

if TYPE_CHECKING:
    from sqlalchemy.engine import URL
    from sqlalchemy.engine import Connection as SqlConnection

T = TypeVar("T")
SCHEME = "postgresql://"
DRIVER = "postgresql+psycopg"
LOCK_S = 10  # how long a transaction waits for a lock
# libpq's settings, unless the address has others: a host that is gone must not keep a thread for hours.
CONNECT = {"connect_timeout": "5", "tcp_user_timeout": "60000", "application_name": "tracking-gateway"}
ARTIFACTS = "mlflow-artifacts:/"  # the default of MLflow's server
_DEFAULT_LOCATION = "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_IS_READ_ONLY = "SELECT current_setting('transaction_read_only') = 'on'"
_NO_TABLE = "42P01"  # PostgreSQL's code


class PostgresqlDatabase:
    """One PostgreSQL database of MLflow, opened by the first call."""

    is_local = False  # a folder that it names is one of its server's machine
    artifact_location: str | None = None

    def __init__(self, url: str) -> None:
        self.address = mask_password(url)
        self._url = _url(url)
        self._store: Any = None
        self._lock = threading.Lock()  # for opening

    def store(self) -> Any:
        """Return MLflow's store. Raises TrackerUnavailable."""
        with self._lock:
            if self._store is None:
                self._store = self._opened()
            return self._store

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Let the block change something through MLflow's store. Raises NothingDone if that is impossible now."""
        self._run(self._check, NothingDone)
        yield

    def read(self, work: Callable[[PostgresqlConnection], T]) -> T:
        """Read in one transaction. Raises TrackerUnavailable."""
        return self._run(work, TrackerUnavailable)

    def write(self, work: Callable[[PostgresqlConnection], T]) -> T:
        """Write in one transaction. Raises TrackerUnavailable, TrackerRefused."""

        def checked(connection: PostgresqlConnection) -> T:
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
            self._check(connection)
            return work(connection)

        return self._run(checked, TrackerUnavailable)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._store is not None:
                self._store.engine.dispose()
                self._store = None

    def _check(self, connection: PostgresqlConnection) -> None:
        """Raise NothingDone if the database is read-only, or its tables are those of another release."""
        self._check_writable(connection)
        check_revision(self.address, connection.select(REVISION_SQL))

    def _check_writable(self, connection: PostgresqlConnection) -> None:
        if connection.select(_IS_READ_ONLY) == [(True,)]:
            raise NothingDone(f"MLflow's database {self.address} does not take events now (it is read-only)")

    def _run(self, work: Callable[[PostgresqlConnection], T], unavailable: type[TrackerUnavailable]) -> T:
        """Do some work in a transaction; an outage raises `unavailable`."""
        from sqlalchemy.exc import DataError, SQLAlchemyError

        engine = self.store().engine
        try:
            with engine.begin() as connection:
                return work(PostgresqlConnection(connection))
        except DataError as error:
            raise TrackerRefused(f"MLflow's database {self.address} refuses a value ({_text(error)})") from error
        except SQLAlchemyError as error:
            if getattr(getattr(error, "orig", None), "sqlstate", "") == _NO_TABLE:
                self.close()  # the database was made again: the next call opens it, and makes its tables
            raise unavailable(f"MLflow's database {self.address} does not take events now ({_text(error)})") from error

    def _opened(self) -> Any:
        """Return MLflow's store for the database, which gets tables if it has none. Raises NothingDone."""
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # takes half a second
        from sqlalchemy import NullPool, create_engine
        from sqlalchemy.exc import SQLAlchemyError

        location = ""
        try:
            with create_engine(self._url, poolclass=NullPool).connect() as connection:
                plain = PostgresqlConnection(connection)
                self._check_writable(plain)
                tables = {str(row[0]) for row in plain.select(_TABLES)}
                if revisions := plain.select(REVISION_SQL) if "alembic_version" in tables else []:
                    check_revision(self.address, revisions)
                    location = "".join(str(row[0] or "") for row in plain.select(_DEFAULT_LOCATION))
            if not revisions:
                check_new(self.address, tables)
            root = location.removesuffix("0") if location.endswith("/0") else ARTIFACTS
            return SqlAlchemyStore(self._url.render_as_string(hide_password=False), root)
        except (SQLAlchemyError, MlflowException) as error:
            raise NothingDone(f"MLflow's database {self.address} cannot be opened now ({_text(error)})") from error


class PostgresqlConnection:
    """A connection in a transaction."""

    def __init__(self, connection: SqlConnection) -> None:
        self._connection = connection

    def select(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return [tuple(row) for row in self._connection.exec_driver_sql(sql.replace("?", "%s"), values)]

    def execute(self, sql: str, *values: Any) -> None:
        """Carry out a statement."""
        self._connection.exec_driver_sql(sql.replace("?", "%s"), values)

    def insert(self, table: str, run: str, columns: Sequence[Column], conflict: str) -> None:
        """Insert rows of one run; `conflict` is what follows ON CONFLICT."""
        names = ", ".join(column.name for column in columns)
        arrays = ", ".join(f"%s::{column.kind}[]" for column in columns)
        self._connection.exec_driver_sql(
            f"INSERT INTO {table} (run_uuid, {names}) SELECT %s, x.* FROM unnest({arrays}) AS x({names})"
            f" ON CONFLICT {conflict}",
            (run, *map(_array, columns)),
        )


def _array(column: Column) -> str:
    """Return values as PostgreSQL's text of an array: a tenth of the time that the driver takes for a list."""
    if column.kind != "text":
        return f"{{{','.join(map(str, column.values))}}}"
    quoted = {text: _quoted(text) for text in set(column.values)}
    return f"{{{','.join([quoted[text] for text in column.values])}}}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _url(url: str) -> URL:
    """Return the address as SQLAlchemy reads it. Raises BadSettings, without a part that may be a password."""
    if missing := [name for name in ("sqlalchemy", "alembic", "psycopg") if importlib.util.find_spec(name) is None]:
        raise BadSettings(
            f"MLflow's PostgreSQL database needs {', '.join(missing)}, not installed here: run `pip install "
            '"tracking-gateway[mlflow-postgresql]"`, or give the address of a server, http://host:port'
        )
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        found = make_url(url)
        parts = f"{found.host or ''}{found.database or ''}{found.query}"
    except (ArgumentError, ValueError):
        found = None
    if found is None or not found.database or "@" in parts:
        raise BadSettings(
            "the address of MLflow's database cannot be read: write postgresql://user:password@host/database, "
            "with %2F for /, %40 for @, %3A for :, %23 for # and %3F for ? in user and password"
        )
    return found.set(drivername=DRIVER, query={**CONNECT, **found.query})


def _text(error: Exception) -> str:
    """Return what the driver says, without SQLAlchemy's statement and its values."""
    cause = getattr(error, "orig", None) or error.__cause__ or error
    return " ".join(str(getattr(cause, "orig", None) or cause).split())[:300]
