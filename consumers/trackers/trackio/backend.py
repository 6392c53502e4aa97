"""
The files of trackio projects: `<folder>/<project>.db`, SQLite with a write-ahead log, written as trackio writes them.

It does not need trackio: trackio reads its folder from the
environment when it is imported, and its `bulk_log` creates the whole schema again with each call. There is one writer
for each project: SQLite allows only one anyway, and threads that wait for a lock here cost less than threads that poll
its file.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from consumers.trackers.files.append import AGAIN
from schemas.errors import TrackerRefused, TrackerUnavailable

BUSY_S = 5.0  # how long a writer of another process, such as trackio's own, may hold the file
LOCK_POLL_S = 0.02
MAX_OPEN = 64  # projects; each holds three open files and up to 2 MB of pages
WAL_PAGES = 8_000  # 32 MB in the write-ahead log before a checkpoint; SQLite's 1,000 costs a quarter of the speed
ROWS_AT_ONCE = (256, 16, 1)  # of one statement: many rows share one call of SQLite and of the interpreter's lock
_INSERT = {
    "metrics": "INSERT OR IGNORE INTO metrics (run_id, run_name, timestamp, step, metrics, log_id) "
    "SELECT ?, ?, column1, column2, column3, column4 FROM (VALUES {})",
    "system_metrics": "INSERT OR IGNORE INTO system_metrics (run_id, run_name, timestamp, metrics, log_id) "
    "SELECT ?, ?, column1, column3, column4 FROM (VALUES {})",
}
_WIDTH = 4
_MOVED = ">"  # between the id of a run's first row and the project to which it was moved
_OF_RUN = {"metrics": "log_id", "system_metrics": "log_id", "alerts": "alert_id", "configs": "", "gateway_batches": ""}
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
        """Return a connection to the present file. The caller holds the lock."""
        inode = _inode(self.path)
        if self.connection is not None and inode == self.inode:
            return self.connection
        self.close()
        if inode is None and not create:
            raise TrackerRefused(f"{self.path} is gone: put it back, or {AGAIN}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        opened = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            _prepare(opened, self.path)
        except BaseException:  # of any type: the caller gets it, and the file must not stay open
            opened.close()
            raise
        self.connection, self.inode = opened, _inode(self.path) or (0, 0)
        return opened

    def close(self) -> None:
        """Close the file; the last connection that closes moves the write-ahead log into it."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Projects:
    """The projects of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._projects: dict[str, _Project] = {}  # the most recently used one is last

    @contextmanager
    def transaction(self, project: str, *, create: bool) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction of its own. Raises TrackerUnavailable, TrackerRefused."""
        opened = self._project(project)
        with opened.lock, translated_errors(opened.path):
            connection = opened.connect(create=create)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:  # of any type: the caller gets it, and nothing may stay half written
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reader(self, project: str) -> Iterator[sqlite3.Connection]:
        """Yield a separate read-only connection. Raises TrackerUnavailable, TrackerRefused."""
        path = self._path(project)
        with translated_errors(path):
            if _inode(path) is None:
                raise TrackerRefused(f"{path} is gone: put it back, or {AGAIN}")
            opened = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S, check_same_thread=False)
            with closing(opened) as connection:
                yield connection

    def has(self, project: str) -> bool:
        """Return True if the file of a project exists. Raises TrackerUnavailable."""
        with translated_errors(self._path(project)):
            return _inode(self._path(project)) is not None

    def names(self) -> list[str]:
        """Return the projects of the folder."""
        return sorted(path.stem for path in self._folder.glob("*.db"))

    def close(self) -> None:
        """Close every file."""
        with self._lock:
            for project in self._projects.values():
                with project.lock:
                    project.close()
            self._projects.clear()

    def _path(self, project: str) -> Path:
        return self._folder / f"{project}.db"

    def _project(self, project: str) -> _Project:
        with self._lock:
            found = self._projects.pop(project, None) or _Project(self._path(project))
            self._projects[project] = found
            for old in list(self._projects.values())[:-MAX_OPEN]:
                if old.lock.acquire(blocking=False):  # a project that is being written stays open for now
                    old.close()
                    old.lock.release()
            return found


def insert(connection: sqlite3.Connection, table: str, run_id: str, run_name: str, columns: Sequence[Any]) -> None:
    """Insert rows of `timestamp, step, metrics, log_id`; a row whose id exists stays as it is."""
    first = 0
    for size in ROWS_AT_ONCE:
        while len(columns) - first >= size * _WIDTH:
            part = columns[first : first + size * _WIDTH]
            connection.execute(_statement(table, size), (run_id, run_name, *part))
            first += size * _WIDTH


def mark_applied(connection: sqlite3.Connection, log_id: str, run_id: str) -> bool:
    """Record that an event has been applied; return False if it was recorded before."""
    done = connection.execute("INSERT OR IGNORE INTO gateway_batches VALUES (?, ?)", (log_id, run_id))
    return done.rowcount == 1


def rename_run(connection: sqlite3.Connection, run_id: str, name: str) -> None:
    """Give all rows of a run another name: trackio would list two names as two runs."""
    for table in ("metrics", "system_metrics", "configs", "alerts", "traces"):
        connection.execute(f"UPDATE {table} SET run_name = ?1 WHERE run_id = ?2 AND run_name <> ?1", (name, run_id))


def remove_run(connection: sqlite3.Connection, run_id: str) -> None:
    """Remove the delivered rows of a run; rows of other writers stay."""
    for table, column in _OF_RUN.items():
        condition = f" AND {column} GLOB 'gw-*'" if column else ""
        connection.execute(f"DELETE FROM {table} WHERE run_id = ?{condition}", (run_id,))


def copy_run(source: sqlite3.Connection, target: sqlite3.Connection, run_id: str) -> None:
    """Copy what `remove_run` removes to another project, in the place of an earlier copy."""
    remove_run(target, run_id)
    for table, column in _OF_RUN.items():
        query = f"SELECT * FROM {table} WHERE run_id = ?" + (f" AND {column} GLOB 'gw-*'" if column else "")
        rows = source.execute(query, (run_id,))
        names = [described[0] for described in rows.description]
        chosen = [number for number, name in enumerate(names) if name != "id"]
        places = ", ".join("?" * len(chosen))
        insert = f"INSERT INTO {table} ({', '.join(names[at] for at in chosen)}) VALUES ({places})"
        for row in rows:
            target.execute(insert, [row[at] for at in chosen])


def mark_moved(connection: sqlite3.Connection, start_id: str, run_id: str, project: str) -> None:
    """Record that a run was moved to another project; a delivery from the start, or the run's return, forgets it."""
    mark_applied(connection, f"{start_id}{_MOVED}{project}", run_id)


def moved_to(connection: sqlite3.Connection, start_id: str) -> str:
    """Return the project to which `mark_moved` says that a run was moved, or ""."""
    query = "SELECT substr(log_id, ?) FROM gateway_batches WHERE log_id GLOB ?"
    found = connection.execute(query, (len(start_id + _MOVED) + 1, f"{start_id}{_MOVED}*")).fetchone()
    return "" if found is None else str(found[0])


def delete_run(connection: sqlite3.Connection, run_id: str, start_id: str) -> None:
    """Remove all rows of a run, and record that it was deleted."""
    for table in ("metrics", "system_metrics", "alerts", "traces", "configs", "gateway_batches"):
        connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))
    mark_applied(connection, start_id, run_id)


def is_deleted(connection: sqlite3.Connection, start_id: str) -> bool:
    """Return True if `delete_run` removed a run and it has not been delivered from the start since."""
    return connection.execute("SELECT 1 FROM gateway_batches WHERE log_id = ?", (start_id,)).fetchone() is not None


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and the disk as TrackerUnavailable, or TrackerRefused if waiting does not help."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _PASSING:
            raise TrackerUnavailable(f"{path} cannot be used now ({error}): check the disk and who holds it") from error
        if code in _DAMAGED:
            raise TrackerRefused(
                f"{path} is damaged, or not a database ({error}): move it away, and {AGAIN}"
            ) from error
        raise TrackerRefused(
            f"{path} is not a project of a known release of trackio ({error}): move it away"
        ) from error
    except OSError as error:
        raise TrackerUnavailable(f"{path} cannot be used now ({error}): check the disk and its permissions") from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    columns = {row[1] for row in connection.execute("PRAGMA table_info(metrics)")}
    if tables and not {"run_id", "log_id"} <= columns:
        if _is_being_created(path):
            raise TrackerUnavailable(f"{path} is being created by trackio")
        raise TrackerRefused(
            f"{path} is not a project of trackio 0.24 or newer: open it with a newer trackio once, or move it away"
        )
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        with _creation_lock(path):  # of two connections that change it, SQLite refuses one at once
            connection.execute("PRAGMA journal_mode = WAL")
    # Trackio's values, except its cache of 20 MB, which is no faster here, and `synchronous`, where trackio has NORMAL:
    # a power cut takes the last transactions then (sqlite.org/pragma.html), and PostgreSQL says that they are there.
    for pragma in ("synchronous = FULL", "temp_store = MEMORY", "cache_size = -2000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
    if "gateway_batches" not in tables:
        connection.executescript(f"BEGIN IMMEDIATE;\n{_schema(is_new=not tables)}\nCOMMIT;")


@contextmanager
def _creation_lock(path: Path) -> Iterator[None]:
    """Hold the lock that trackio takes while it creates a project. Raises TrackerUnavailable after BUSY_S."""
    until = time.monotonic() + BUSY_S
    with path.with_suffix(".lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise TrackerUnavailable(f"{path} is being created by trackio") from None
                time.sleep(LOCK_POLL_S)
        yield


def _is_being_created(path: Path) -> bool:
    """Return True if trackio holds its lock of a project: it creates tables one by one."""
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
