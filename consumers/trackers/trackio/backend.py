"""
The files of trackio projects: `<folder>/<project>.db`, SQLite with a write-ahead log, written as trackio writes them.

This file alone speaks SQL to them. It needs no trackio: trackio reads its folder from the environment when it is
imported, and its `bulk_log` makes the whole schema anew with each call. One writer a project: SQLite takes one anyway,
and threads that wait for a lock here cost less than those that poll its file.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from consumers.trackers.files.append import AGAIN
from schemas.errors import TrackerRefused, TrackerUnavailable

BUSY_S = 5.0  # a writer of another process, such as trackio's own, may hold the file so long
MAX_OPEN = 64  # projects; each open one holds three files and up to 2 MB of pages
WAL_PAGES = 8_000  # 32 MB written ahead before they go into the file: SQLite's 1,000 costs a quarter of the speed
ROWS_AT_ONCE = (256, 16, 1)  # a statement each: one call of SQLite, and of the interpreter's lock, for so many rows
_INSERT = {
    "metrics": "INSERT OR IGNORE INTO metrics (run_id, run_name, timestamp, step, metrics, log_id) "
    "SELECT ?, ?, column1, column2, column3, column4 FROM (VALUES {})",
    "system_metrics": "INSERT OR IGNORE INTO system_metrics (run_id, run_name, timestamp, metrics, log_id) "
    "SELECT ?, ?, column1, column3, column4 FROM (VALUES {})",
}
_WIDTH = 4
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PASSING = (
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
)  # fmt: skip


@dataclass
class _Project:
    path: Path
    lock: threading.Lock = field(default_factory=threading.Lock)
    connection: sqlite3.Connection | None = None
    inode: tuple[int, int] = (0, 0)

    def connect(self, *, create: bool) -> sqlite3.Connection:
        """Return a connection to the file that is there now. The caller holds the lock."""
        there = _inode(self.path)
        if self.connection is not None and there == self.inode:
            return self.connection
        self.close()
        if there is None and not create:
            raise TrackerRefused(f"{self.path} is gone: put it back, or {AGAIN}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        made = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            _prepare(made, self.path)
        except BaseException:  # whatever it is: it goes on to the caller, and the file must not stay open
            made.close()
            raise
        self.connection, self.inode = made, _inode(self.path) or (0, 0)
        return made

    def close(self) -> None:
        """Let go of the file; the last one to do so writes the log into it."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Projects:
    """The projects of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._projects: dict[str, _Project] = {}  # the one used last is the last

    @contextmanager
    def writing(self, project: str, *, create: bool) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction of its own. Raises TrackerUnavailable, TrackerRefused."""
        place = self._place(project)
        with place.lock, translating(place.path):
            connection = place.connect(create=create)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:  # whatever it is: it goes on to the caller, and nothing may stay half written
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self, project: str) -> Iterator[sqlite3.Connection]:
        """Yield a connection of its own that reads. Raises TrackerUnavailable, TrackerRefused."""
        path = self._path(project)
        with translating(path):
            if _inode(path) is None:
                raise TrackerRefused(f"{path} is gone: put it back, or {AGAIN}")
            made = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S, check_same_thread=False)
            with closing(made) as connection:
                yield connection

    def has(self, project: str) -> bool:
        """Tell whether the file of a project is there. Raises TrackerUnavailable."""
        with translating(self._path(project)):
            return _inode(self._path(project)) is not None

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for place in self._projects.values():
                with place.lock:
                    place.close()
            self._projects.clear()

    def _path(self, project: str) -> Path:
        return self._folder / f"{project}.db"

    def _place(self, project: str) -> _Project:
        with self._lock:
            place = self._projects.pop(project, None) or _Project(self._path(project))
            self._projects[project] = place
            for old in list(self._projects.values())[:-MAX_OPEN]:
                if old.lock.acquire(blocking=False):  # one that is being written stays for now
                    old.close()
                    old.lock.release()
            return place


def insert(connection: sqlite3.Connection, table: str, run_id: str, run_name: str, columns: Sequence[Any]) -> None:
    """Insert rows of `timestamp, step, metrics, log_id`, one after the other; one whose id is there stays as it is."""
    first = 0
    for size in ROWS_AT_ONCE:
        while len(columns) - first >= size * _WIDTH:
            part = columns[first : first + size * _WIDTH]
            connection.execute(_statement(table, size), (run_id, run_name, *part))
            first += size * _WIDTH


def is_first(connection: sqlite3.Connection, log_id: str, run_id: str) -> bool:
    """Tell whether a batch was never applied, and write down that it is now."""
    done = connection.execute("INSERT OR IGNORE INTO gateway_batches VALUES (?, ?)", (log_id, run_id))
    return done.rowcount == 1


def rename_run(connection: sqlite3.Connection, run_id: str, name: str) -> None:
    """Show all rows of a run under another name: trackio would list the two names as two runs."""
    for table in ("metrics", "system_metrics", "configs", "alerts", "traces"):
        connection.execute(f"UPDATE {table} SET run_name = ?1 WHERE run_id = ?2 AND run_name <> ?1", (name, run_id))


def forget_run(connection: sqlite3.Connection, run_id: str) -> None:
    """Remove what was delivered of a run; what somebody else wrote into it stays."""
    for table, column in (("metrics", "log_id"), ("system_metrics", "log_id"), ("alerts", "alert_id")):
        connection.execute(f"DELETE FROM {table} WHERE run_id = ? AND {column} GLOB 'gw-*'", (run_id,))
    for table in ("configs", "gateway_batches"):
        connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))


def delete_run(connection: sqlite3.Connection, run_id: str, start_id: str) -> None:
    """Remove all of a run, and keep that it was deleted."""
    for table in ("metrics", "system_metrics", "alerts", "traces", "configs", "gateway_batches"):
        connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
    is_first(connection, start_id, run_id)


def is_deleted(connection: sqlite3.Connection, start_id: str) -> bool:
    """Tell whether `delete_run` removed a run, and it was not delivered from the start since."""
    return connection.execute("SELECT 1 FROM gateway_batches WHERE log_id = ?", (start_id,)).fetchone() is not None


@contextmanager
def translating(path: Path) -> Iterator[None]:
    """Raise what SQLite and the disk say as TrackerUnavailable, or TrackerRefused where waiting does not help."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _PASSING:
            raise TrackerUnavailable(f"{path} cannot be used now ({error}): check the disk and who holds it") from error
        if code in _DAMAGED:
            raise TrackerRefused(f"{path} is damaged, or no database ({error}): move it away, and {AGAIN}") from error
        raise TrackerRefused(f"{path} is no project of a trackio that is known here ({error}): move it away") from error
    except OSError as error:
        raise TrackerUnavailable(f"{path} cannot be used now ({error}): check the disk and its permissions") from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY", "cache_size = -2000"):
        connection.execute(f"PRAGMA {pragma}")  # as trackio sets them, but for its cache of 20 MB: no faster here
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    columns = {row[1] for row in connection.execute("PRAGMA table_info(metrics)")}
    if tables and not {"run_id", "log_id"} <= columns:
        if _is_being_made(path):
            raise TrackerUnavailable(f"{path} is being made by trackio")
        raise TrackerRefused(
            f"{path} is no project of trackio 0.24 or newer: open it with a newer trackio once, or move it away"
        )
    if "gateway_batches" not in tables:
        connection.executescript(f"BEGIN IMMEDIATE;\n{_schema(is_new=not tables)}\nCOMMIT;")


def _is_being_made(path: Path) -> bool:
    """Tell whether a trackio holds its lock of a project: it makes tables one by one."""
    try:
        with path.with_suffix(".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@cache
def _schema(*, is_new: bool) -> str:
    text = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")
    return text if is_new else text[text.index("CREATE TABLE IF NOT EXISTS gateway_batches") :]


@cache
def _statement(table: str, rows: int) -> str:
    return _INSERT[table].format(", ".join(["(?, ?, ?, ?)"] * rows))


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
