"""
MLflow's SQLite database on this machine: `sqlite:///path/mlflow.db`.

MLflow's store tries to connect ten times with growing pauses, 101 s in total, and waits 20 s for a locked database.
Therefore each call probes the database first, and a missing, locked or read-only one is reported within PROBE_S. Writes
run one at a time: SQLite has a single writer, and a thread that waits for a lock in Python wakes as soon as it is free,
without polling. Other processes do poll, every 0.1 s: see `_give_way`.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from mlflow.exceptions import MlflowException

from consumers.trackers.mlflow.database.connection import Column
from consumers.trackers.mlflow.database.revision import REVISION_SQL, check_new, check_revision
from consumers.trackers.mlflow.responses import NothingDone
from schemas.errors import BadSettings, TrackerUnavailable

T = TypeVar("T")
SCHEME = "sqlite:///"
PROBE_S = 2.0
COMMIT_S = 20.0  # how long a transaction waits for readers to finish, as MLflow's store does
CACHE_KIB = 64 * 1024  # pages of indexes that a transaction changes: SQLite's default, 2 MB, is written to disk midway
ROWS = 1_024  # in one statement: sqlite3 gives the interpreter to other threads once for each
ARTIFACTS = "mlflow-artifacts"  # folder next to the database, for experiments that are created here
SHORT_S = 0.02  # a transaction for which no other process has waited long
TABLES_SQL = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


class SqliteDatabase:
    """One SQLite database of MLflow, opened by the first call."""

    is_local = True

    def __init__(self, url: str) -> None:
        self.address = url
        path = url.removeprefix(SCHEME).partition("?")[0]
        if not path or path.startswith(":memory:"):
            raise BadSettings("MLflow's database has no file: write sqlite:///mlflow.db or sqlite:////folder/mlflow.db")
        if importlib.util.find_spec("sqlalchemy") is None or importlib.util.find_spec("alembic") is None:
            raise BadSettings(
                "MLflow's database needs the whole of MLflow, and only its client is installed: "
                'run `pip install "tracking-gateway[mlflow-server]"`, or give the address of a server, http://host:port'
            )
        self._path = Path(path).absolute()
        self.artifact_location: str | None = (self._path.parent / ARTIFACTS).as_uri()
        self._lock = threading.RLock()  # for writes, and for opening
        self._store: Any = None
        self._writer: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # device and number of the file that is open

    def store(self) -> Any:
        """Return MLflow's store, of the file that is there now. Raises TrackerUnavailable."""
        store = self._store
        if store is not None and self._file == self._identity():
            return store  # without the lock: who reads does not wait for who writes
        with self._lock:
            if self._store is not None and self._file != self._identity():
                self._forget()  # what is written to a file that was removed or replaced is lost
            if self._store is None:
                store = self._opened()
                self._file = self._identity()
                self._store = store
            return self._store

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Let the block change something through MLflow's store, alone among our threads. Raises NothingDone."""
        with self._lock:
            connection = self._begin()
            connection.execute("ROLLBACK")
            yield

    def read(self, work: Callable[[SqliteConnection], T]) -> T:
        """Read through a connection of its own, next to those that write. Raises TrackerUnavailable."""
        self.store()
        try:
            with closing(sqlite3.connect(self._path, timeout=PROBE_S, isolation_level=None)) as connection:
                return work(SqliteConnection(connection))
        except sqlite3.Error as error:
            raise TrackerUnavailable(f"MLflow's database {self.address} cannot be read now ({error})") from error

    def write(self, work: Callable[[SqliteConnection], T]) -> T:
        """Write in one transaction, one thread at a time. Raises TrackerUnavailable."""
        with self._lock:
            began = monotonic()
            connection = self._begin()
            try:
                connection.execute(f"PRAGMA busy_timeout = {int(COMMIT_S * 1_000)}")
                done = work(SqliteConnection(connection))
                connection.execute("COMMIT")
            except BaseException as error:  # Ctrl-C too: the transaction must not stay open; the error is passed on
                self._close_writer()  # which ends the transaction
                if isinstance(error, sqlite3.Error):
                    raise TrackerUnavailable(f"MLflow's database {self.address} takes no rows now ({error})") from error
                raise
            _give_way(monotonic() - began)
            return done

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._forget()

    def _begin(self) -> sqlite3.Connection:
        """Return the connection for writes, in a transaction that has the lock. Raises NothingDone."""
        self.store()
        try:
            if self._writer is None:
                self._writer = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
                self._writer.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            self._writer.execute(f"PRAGMA busy_timeout = {int(PROBE_S * 1_000)}")
            self._writer.execute("BEGIN IMMEDIATE")
            revisions = self._writer.execute(REVISION_SQL).fetchall()
        except sqlite3.Error as error:
            self._close_writer()
            raise self._unavailable(error) from error
        try:
            check_revision(self.address, revisions)
        except NothingDone:
            self._close_writer()
            raise
        return self._writer

    def _opened(self) -> Any:
        """Return MLflow's store for the file, which gets tables if it has none. Raises NothingDone."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not self._path.exists():
                self._create()
            with closing(sqlite3.connect(self._path, timeout=PROBE_S, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                tables = {row[0] for row in connection.execute(TABLES_SQL)}
                revisions = connection.execute(REVISION_SQL).fetchall() if "alembic_version" in tables else []
        except (OSError, sqlite3.Error) as error:
            raise self._unavailable(error) from error
        if revisions:
            check_revision(self.address, revisions)
        else:
            check_new(self.address, tables)
        return self._mlflow_store(self.address)

    def _create(self) -> None:
        """
        Make a new database, complete or not at all.

        MLflow makes its tables in many steps. A process that is killed in between would leave a part of them, which
        looks like the tables of an older release.
        """
        part = self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex}")
        try:
            part.touch()  # raises OSError if the folder cannot be written; MLflow would try for 101 s
            self._mlflow_store(f"{SCHEME}{part}").engine.dispose()
            with suppress(FileExistsError):  # a server that was started meanwhile made one
                os.link(part, self._path)
        finally:
            part.unlink(missing_ok=True)

    def _mlflow_store(self, url: str) -> Any:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # takes half a second

        try:
            return SqlAlchemyStore(url, self.artifact_location)
        except MlflowException as error:
            raise TrackerUnavailable(f"MLflow's database {self.address} cannot be used ({error})") from error

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _forget(self) -> None:
        self._close_writer()
        if self._store is not None:
            self._store.engine.dispose()
            self._store = None

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _unavailable(self, error: Exception) -> NothingDone:
        return NothingDone(f"MLflow's database {self.address} does not take events now ({error})")


class SqliteConnection:
    """A connection in a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def select(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def execute(self, sql: str, *values: Any) -> None:
        """Carry out a statement."""
        self._connection.execute(sql, values)

    def insert(self, table: str, run: str, columns: Sequence[Column], conflict: str) -> None:
        """Insert rows of one run; `conflict` is what follows ON CONFLICT."""
        names = tuple(column.name for column in columns)
        rows = list(zip(*(column.values for column in columns), strict=True))
        for first in range(0, len(rows), ROWS):
            some = rows[first : first + ROWS]
            self._connection.execute(_insert(table, names, len(some), conflict), (run, *chain.from_iterable(some)))


@lru_cache(maxsize=64)
def _insert(table: str, names: tuple[str, ...], rows: int, conflict: str) -> str:
    row = f"(?1{', ?' * len(names)})"
    return f"INSERT INTO {table} (run_uuid, {', '.join(names)}) VALUES {', '.join([row] * rows)} ON CONFLICT {conflict}"


def _give_way(spent_s: float) -> None:
    """
    Leave the database to other processes for a tenth of the time that a long transaction took.

    They look every 0.1 s whether it is free, and fail after 20 s (MLflow's server). Transactions of our threads follow
    each other at once, so that they would never find it free.
    """
    if spent_s > SHORT_S:
        sleep(min(spent_s / 10, 0.1))
