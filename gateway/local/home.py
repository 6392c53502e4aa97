"""
The home of a stack: `stack.json`, logs, ready files and the lock.

Only the supervisor writes `stack.json`, and replaces it atomically, so that a reader never sees half of it. It holds
PostgreSQL's password and is readable by its owner only.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple, NotRequired, TypedDict

import psutil

from gateway.client.process.owner import boot_id, started_ticks
from gateway.client.stack_file import STACK_FILE, read_stack
from schemas.errors import StackError
from schemas.runtime.logs import message_of

VERSION = 1
SUPERVISOR = "supervisor"
LOG_LIMIT_BYTES = 10 * 1024 * 1024


class ProcessRecord(TypedDict):
    """One process of a stack. `start` distinguishes it from a later process with the same pid."""

    pid: int
    create_time: float  # Unix, s
    start: NotRequired[str]  # see `start_mark`; earlier releases did not write it
    state: str
    restarts: int
    error: str
    log: str


class StackRecord(TypedDict):
    """The content of stack.json."""

    version: int
    running: bool
    settings: dict[str, Any]
    ports: dict[str, int]
    processes: dict[str, ProcessRecord]


class Home(NamedTuple):
    """The folder of one stack."""

    folder: Path

    @property
    def logs(self) -> Path:
        """Folder of the logs: what each process printed."""
        return self.folder / "logs"

    def log(self, name: str) -> Path:
        """Return the log file of one process."""
        return self.logs / f"{name}.log"

    def ready_file(self, name: str) -> Path:
        """Return the file that one of our processes writes once it serves."""
        return self.folder / "run" / f"{name}.ready"

    def forget_ready(self, names: Iterable[str]) -> None:
        """Delete the ready files of processes of this stack that have ended."""
        for name in names:
            self.ready_file(name).unlink(missing_ok=True)

    def create(self) -> None:
        """Create the folders, readable by their owner only. Raises StackError."""
        if "," in str(self.folder):  # Kafka reads a comma as the separator of two folders
            raise StackError(f"{self.folder} cannot be used as a home (it holds a comma): name another with --home")
        try:
            for folder in (self.folder, self.logs, self.folder / "run"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                found = folder.stat()
                if found.st_mode & 0o066 and found.st_uid == os.geteuid():  # training of an earlier release made it
                    folder.chmod(0o700)
        except OSError as error:
            raise StackError(f"{self.folder} cannot be used as a home ({error}): name another with --home") from error

    def read(self) -> StackRecord:
        """Return what the last supervisor wrote; empty fields when there was none. Raises StackError."""
        found: dict[str, Any] = read_stack(str(self.folder))
        if found.get("version", VERSION) != VERSION:
            raise StackError(f"{self.folder} was written by another release: use that release, or name another --home")
        return {
            "version": VERSION,
            "running": bool(found.get("running")),
            "settings": found.get("settings") or {},
            "ports": found.get("ports") or {},
            "processes": found.get("processes") or {},
        }

    def write(self, record: StackRecord) -> None:
        """Replace stack.json."""
        fresh = self.folder / (STACK_FILE + ".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
        fresh.replace(self.folder / STACK_FILE)

    def open_log(self, name: str) -> IO[bytes]:
        """Open a log for appending; see `rotate_log`."""
        self.rotate_log(name)
        return self.log(name).open("ab")

    def rotate_log(self, name: str) -> bool:
        """
        Copy a log above LOG_LIMIT_BYTES to .log.1, replacing an earlier one, and empty it; return whether it did.

        The process that writes the log keeps it open for appending, so it continues in the emptied file. What it writes
        between the copy and the emptying, within milliseconds, is lost.
        """
        path = self.log(name)
        try:
            if path.stat().st_size <= LOG_LIMIT_BYTES:
                return False
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)
        except OSError:
            return False  # there is none, or the disk is full
        return True

    def last_line(self, name: str) -> str:
        """Return the last line that a process printed."""
        lines = tail(self.log(name), 1)
        return message_of(lines[0]).strip()[:500] if lines else ""

    def last_words(self, name: str, since: int) -> str:
        """Return the line, after `since` bytes of a log, that most likely explains why its process died."""
        lines = [message_of(line).strip() for line in tail(self.log(name), 60, since) if not _is_java_frame(line)]
        # PostgreSQL prints more lines after the fatal one.
        fatal = [line for line in lines if " FATAL" in line or " PANIC" in line]
        return (fatal or lines or [""])[-1][:500]

    def lock(self) -> IO[bytes] | None:
        """Return a lock of this home that is held until the file is closed; None when another supervisor holds it."""
        file = (self.folder / "run" / "lock").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return None
        return file


def tail(path: Path, count: int, since: int = 0) -> list[str]:
    """Return the last `count` non-empty lines of a file, after its first `since` bytes; [] when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(since, file.tell() - 400 * count - 4_000))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.split("\n") if line.strip()][-count:]


def _is_java_frame(line: str) -> bool:
    """Tell whether a line is a frame of a Java stack trace."""
    return line.lstrip().startswith("at ")


def start_mark(pid: int) -> str:
    """
    Return the boot and the clock ticks since then at which a process started; "" if it has ended, or without /proc.

    psutil's `create_time` adds the time of the boot, which moves when the clock is set: field 22 of /proc/PID/stat, see
    proc(5), does not.
    """
    ticks = started_ticks(pid)
    return ticks and f"{boot_id()}:{ticks}"


def find_process(record: ProcessRecord) -> psutil.Process | None:
    """Return the living process of a record, never a later one with its pid; None when it has ended."""
    try:
        process = psutil.Process(record["pid"])
        if mark := record.get("start"):
            is_same = start_mark(record["pid"]) == mark
        else:
            is_same = abs(process.create_time() - record["create_time"]) < 0.01
        # A killed process that is not a zombie yet has lost its memory already, and its arguments with it.
        is_alive = process.status() != psutil.STATUS_ZOMBIE and process.cmdline()
        return process if is_same and is_alive else None
    except (psutil.Error, ValueError):
        return None
