"""
Uploads that are not done yet, on disk, so that they survive the process.

    <journal home>/.uploads/<id>/   owner.json, lock, list (what is to be uploaded, and what is done), N.data (bytes)

Each process has one folder for each run into which it logs artifacts. Its lock shows that the process lives, as that of
a journal does. The list has a line for each upload and one for its end, because on some disks a new file takes longer
than everything else. An upload without .data reads the bytes where the user's file is.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from gateway.client.ids import uuid7
from gateway.client.journal.folder import NEW, UPLOADS, JournalLock, journal_home, make_private
from gateway.client.journal.hosts import check_host
from gateway.client.journal.ownership import LOCK
from gateway.client.process.owner import this_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OWNER, LIST, DATA = "owner.json", "list", ".data"
FORMAT = 1


class PendingFolder:
    """The folder of one run in one process. This process holds its lock."""

    def __init__(self, path: str, lock: JournalLock, owner: dict[str, Any]) -> None:
        self.path = path
        self.owner = owner  # facts about the run and the process
        self._lock = lock
        self._last = 0
        self._open: set[int] = set()  # uploads of this process
        self._handle = -1  # of the list

    @classmethod
    def create(cls, facts: dict[str, Any]) -> PendingFolder:
        """Create a folder for a run. Raises OSError and then leaves nothing that counts."""
        name = uuid7()
        home = os.path.join(journal_home(), UPLOADS)
        made, path = os.path.join(home, NEW + name), os.path.join(home, name)
        make_private(made)
        lock = JournalLock.try_acquire(made)
        if lock is None:
            raise OSError(f"{made} cannot be locked")
        owner = {**this_process(), **facts, "format": FORMAT}
        try:
            with open(os.path.join(made, OWNER), "w", encoding="utf-8") as file:
                json.dump(owner, file)
            os.rename(made, path)
        except BaseException:  # Ctrl-C too
            lock.release()
            raise
        return cls(path, lock, owner)

    @classmethod
    def adopt(cls, path: str, *, other_hosts: bool = False) -> PendingFolder | None:
        """
        Return the folder of a process that ended; None if it lives. Raises OSError as `adopt` of a journal does.

        With `other_hosts` the caller knows that no process of another host lives.
        """
        owner = _read_owner(path)
        if not other_hosts:
            check_host(owner, path)
        if owner.get("format") != FORMAT:
            raise OSError("its format is newer than this release: update tracking-gateway here")
        lock = JournalLock.try_acquire(path)
        return None if lock is None else cls(path, lock, owner)

    def new_number(self) -> int:
        """Return the number of a new upload."""
        self._last += 1
        return self._last

    def data_path(self, number: int) -> str:
        """Return where the bytes of an upload are, or go."""
        return os.path.join(self.path, f"{number}{DATA}")

    def write(self, number: int, facts: dict[str, Any]) -> None:
        """Write down an upload whose bytes are in place. Raises OSError."""
        self._append({"number": number, **facts})
        self._open.add(number)

    def waiting(self) -> list[tuple[int, dict[str, Any]]]:
        """Return number and facts of each upload that is not done, in order. Raises OSError."""
        found: dict[int, dict[str, Any]] = {}
        try:
            with open(os.path.join(self.path, LIST), "rb") as file:
                for line in file:
                    facts = _parse(line)  # {}: empty, or cut off when the process was killed
                    if type(number := facts.get("number")) is int:
                        found[number] = facts
                    found.pop(facts.get("done", 0), None)
        except FileNotFoundError:
            return []
        return sorted(found.items())

    def remove(self, number: int) -> None:
        """Forget an upload. Does not raise."""
        with suppress(OSError):
            self._append({"done": number})
            self._open.discard(number)
            if not self._open and self._last:  # in the process that wrote it
                os.ftruncate(self._handle, 0)
        with suppress(OSError):  # after that: what is not in the list is never uploaded
            os.unlink(self.data_path(number))

    def close(self) -> None:
        """Release the folder; delete it if nothing waits in it."""
        with suppress(OSError):
            if not self.waiting():
                # Only what is written here is deleted, and owner.json last, without which the folder is not looked at.
                for name in sorted(filter(_is_ours, os.listdir(self.path)), key=lambda one: (one == OWNER, one)):
                    os.unlink(os.path.join(self.path, name))
                os.rmdir(self.path)
                os.rmdir(os.path.dirname(self.path))
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._lock.release()

    def _append(self, facts: dict[str, Any]) -> None:
        if self._handle < 0:
            self._handle = os.open(os.path.join(self.path, LIST), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # The line end comes first: it ends a line that was cut off.
        os.write(self._handle, b"\n" + json.dumps(facts).encode())


def find_pending(home: str) -> list[str]:
    """Return the folders of uploads that wait in a journal home. Folders of other programs are passed over."""
    folder = os.path.join(home, UPLOADS)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = [os.path.join(folder, name) for name in names if not name.startswith(NEW)]
    return [path for path in found if _read_owner(path)]


def _is_ours(name: str) -> bool:
    return name in (OWNER, LIST, LOCK) or (name.endswith(DATA) and name.removesuffix(DATA).isdecimal())


def _read_owner(path: str) -> dict[str, Any]:
    """Return the facts about the owner of a folder; {} if it is no folder of pending uploads."""
    owner = _read(os.path.join(path, OWNER))
    return owner if type(owner.get("format")) is int and isinstance(owner.get("run_id"), str) else {}


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return _parse(file.read())
    except OSError:
        return {}


def _parse(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
