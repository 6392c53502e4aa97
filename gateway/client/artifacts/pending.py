"""
Uploads that are not done yet, on disk, so that they survive the process.

    <journal home>/.uploads/<id>/   owner.json, lock, NNNNNN.json (what is to be uploaded), NNNNNN.data (its bytes)

Each process has one folder for each run into which it logs artifacts. Its lock shows that the process lives, as that of
a journal does. An upload without .data reads the bytes where the user's file is.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from gateway.client.ids import uuid7
from gateway.client.journal.folder import NEW, UPLOADS, JournalLock, journal_home, make_private
from gateway.client.journal.hosts import check_host
from gateway.client.process.owner import this_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

OWNER, JSON, DATA = "owner.json", ".json", ".data"
FORMAT = 1


class PendingFolder:
    """The folder of one run in one process. This process holds its lock."""

    def __init__(self, path: str, lock: JournalLock, owner: dict[str, Any]) -> None:
        self.path = path
        self.owner = owner  # facts about the run and the process
        self._lock = lock
        self._last = 0

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
            _write_json(os.path.join(made, OWNER), owner)
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
        owner = _read_json(os.path.join(path, OWNER))
        if not other_hosts:
            check_host(owner, path)
        if owner.get("format", FORMAT) != FORMAT:
            raise OSError("its format is newer than this release: update tracking-gateway here")
        lock = JournalLock.try_acquire(path)
        return None if lock is None else cls(path, lock, owner)

    def new_number(self) -> str:
        """Return the number of a new upload."""
        self._last += 1
        return f"{self._last:06}"

    def data_path(self, number: str) -> str:
        """Return where the bytes of an upload are, or go."""
        return os.path.join(self.path, number + DATA)

    def write(self, number: str, facts: dict[str, Any]) -> None:
        """Write down an upload whose bytes are in place. Raises OSError."""
        _write_json(os.path.join(self.path, number + JSON), facts)

    def waiting(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield number and facts of each upload, in order. Damaged ones are passed over. Raises OSError."""
        for name in sorted(os.listdir(self.path)):
            number = name.removesuffix(JSON)
            if number != name and number.isdecimal() and (facts := _read_json(os.path.join(self.path, name))):
                yield number, facts

    def remove(self, number: str) -> None:
        """Forget an upload. Does not raise."""
        for end in (JSON, DATA):  # in this order: what has no .json is never uploaded
            with suppress(OSError):
                os.unlink(os.path.join(self.path, number + end))

    def close(self) -> None:
        """Release the folder; delete it if nothing waits in it."""
        with suppress(OSError):
            names = os.listdir(self.path)
            if not any(name.endswith(JSON) and name != OWNER for name in names):
                # The lock goes last but one: without owner.json the folder has no owner.
                for name in sorted(names, key=lambda one: (one == OWNER, one)):
                    os.unlink(os.path.join(self.path, name))
                os.rmdir(self.path)
                os.rmdir(os.path.dirname(self.path))
        self._lock.release()


def find_pending(home: str) -> list[str]:
    """Return the folders of uploads that wait in a journal home."""
    folder = os.path.join(home, UPLOADS)
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if not name.startswith(NEW)]


def _write_json(path: str, facts: dict[str, Any]) -> None:
    with open(path + ".new", "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(facts, file)
    os.replace(path + ".new", path)


def _read_json(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
