"""
The folder of one journal: its path, its owner, and the lock that shows that the owner is alive.

    <journal home>/<run id>/<producer>/   meta.json, lock, NNNNNNNN.seg, cuts.NNNN.<producer>

The lock is flock(2): the kernel releases it when the process dies, whatever the cause.

`gateway sync` looks into folders that a person names, so a folder counts as a journal only when its content proves it
(`ownership`), and only names that a journal writes are ever deleted.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from errno import EDQUOT, EFBIG, ENOSPC
from hashlib import blake2b
from urllib.parse import quote

from gateway.client.encoding.values import now
from gateway.client.journal.format import VERSION
from gateway.client.journal.ownership import LOCK, META, deletion_order, find_meta, is_journal, is_ours
from gateway.client.journal.segment import remove
from gateway.client.notices import warn_once
from gateway.client.process.owner import is_alive, this_process
from gateway.client.stack_file import NoHome, default_home, expand

try:
    import fcntl
except ImportError:  # Windows: journals stay in memory there
    fcntl = None  # type: ignore[assignment]  # a module or nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

HOME_VARIABLE = "GATEWAY_JOURNAL_DIR"
MAX_VARIABLE = "GATEWAY_JOURNAL_MAX_MB"
MAX_MB = 4_096.0
NEW = ".new-"  # prefix of the name of an incomplete folder
USED_IDS = ".run-ids"  # in the journal home, next to the runs: see run/used_ids.py
UPLOADS = ".uploads"  # ... and see artifacts/pending.py
VALUES = ".values"  # ... and see run/logged/values.py
AGENTS = ".agents-"  # ... and see agent/place.py; followed by the user's id
_NO_JOURNALS = (USED_IDS, UPLOADS, VALUES, AGENTS)
IN_MEMORY = "events wait in memory and are lost when this process is killed"
MAX_FOLDER_NAME = 120  # bytes

_locks: set[int] = set()  # file descriptors of the locks this process holds


def journal_home() -> str:
    """
    Return the folder of all journals: GATEWAY_JOURNAL_DIR, or `journal` in the home of the stack.

    Raises NoHome, which is an OSError.
    """
    named = os.environ.get(HOME_VARIABLE)
    return os.path.abspath(expand(named)) if named else os.path.join(default_home(), "journal")


def has_uploads() -> bool:
    """Return whether uploads of artifacts may wait in the journal home."""
    try:
        return os.path.isdir(os.path.join(journal_home(), UPLOADS))
    except NoHome:
        return False


def max_bytes() -> int:
    """Return the bound of one journal in bytes: GATEWAY_JOURNAL_MAX_MB, or 4,096 MB."""
    try:
        return int(max(1.0, float(os.environ.get(MAX_VARIABLE) or MAX_MB)) * 1_048_576)
    except (ValueError, OverflowError):
        warn_once("journal-max", f"{MAX_VARIABLE}={os.environ[MAX_VARIABLE]!r:.40} is no number: {MAX_MB:,.0f} is used")
        return int(MAX_MB * 1_048_576)


class JournalLock:
    """The lock of a journal's folder, held by this process."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        _locks.add(handle)

    @classmethod
    def try_acquire(cls, folder: str) -> JournalLock | None:
        """Return the lock, or None when another process holds it or the folder is gone. Raises OSError."""
        path = os.path.join(folder, LOCK)
        if not os.path.exists(path) and is_alive(find_meta(folder)):
            return None  # the owner's: something that deletes old files deleted this one
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_same = os.path.samestat(os.fstat(handle), os.stat(path))  # not one that its last holder deleted
        except (BlockingIOError, FileNotFoundError):
            is_same = False
        except BaseException:  # the handle must not outlive a failed lock; the error is passed on
            os.close(handle)
            raise
        if not is_same:
            os.close(handle)
            return None
        return cls(handle)

    def release(self) -> None:
        """Release the lock. Does nothing in a forked child, where the lock is the parent's."""
        handle, self._handle = self._handle, -1
        if handle in _locks:
            _locks.discard(handle)
            os.close(handle)


def is_held(folder: str) -> bool:
    """Return whether a live process holds the lock of a journal: its owner, or one that ships it."""
    try:
        lock = JournalLock.try_acquire(folder) if os.path.isdir(folder) else None
    except OSError:
        return False
    if lock is not None:
        lock.release()
    return lock is None and os.path.isdir(folder)


def forget_locks() -> None:
    """Close the inherited descriptors of the parent's locks, which only the parent holds. In a forked child."""
    for handle in list(_locks):
        try:
            os.close(handle)
        except OSError:
            continue  # the parent closed it at the moment of the fork
    _locks.clear()


def make_private(folder: str) -> None:
    """
    Create a folder and its missing parents, a stack's home among them, for their owner only. Raises OSError.

    `os.makedirs` gives its mode to the last folder only.
    """
    parent = os.path.dirname(folder)
    if parent and not os.path.isdir(parent):
        with suppress(FileExistsError):  # another process was faster; a file in the way fails below
            make_private(parent)
    os.mkdir(folder, 0o700)


def create_folder(home: str, meta: dict[str, Any]) -> tuple[str, JournalLock]:
    """Create the folder of a new journal and return it with its lock. Raises OSError and then leaves nothing behind."""
    if fcntl is None:
        raise OSError("this system has no flock")
    parent = os.path.join(home, folder_name(str(meta["run_id"])))
    made = os.path.join(parent, NEW + str(meta["producer"]))
    for attempt in range(5):
        try:
            make_private(made)
            break
        except FileNotFoundError:  # the run's folder was deleted with its last journal at this moment
            if attempt == 4:
                raise
    lock = None
    try:
        lock = JournalLock.try_acquire(made)
        if lock is None:
            raise OSError(f"{made} cannot be locked")
        with open(os.path.join(made, META), "w", encoding="utf-8") as file:
            json.dump(meta, file)
        folder = os.path.join(parent, str(meta["producer"]))
        os.rename(made, folder)
    except BaseException:  # Ctrl-C too
        if lock is not None:
            lock.release()
        delete_folder(made)
        raise
    return folder, lock


def build_meta(run_id: str, producer: str, *, is_owner: bool, attempt: int, address: str, topic: str) -> dict[str, Any]:
    """Return the facts about a journal that meta.json and each segment repeat."""
    return {
        "format": VERSION,
        "run_id": run_id,
        "producer": producer,
        "is_owner": is_owner,
        "attempt": attempt,
        "address": address,
        "topic": topic,
        "time": now(),
        **this_process(),
    }


def folder_name(run_id: str) -> str:
    """Return the run id as a file name: percent-quoted; when that is too long, its start and a digest."""
    quoted = quote(run_id, safe="").replace(".", "%2E")
    if len(quoted) <= MAX_FOLDER_NAME:
        return quoted
    return f"{quoted[:80]}~{blake2b(run_id.encode(), digest_size=12).hexdigest()}"


def delete_folder(folder: str) -> None:
    """
    Delete a journal of which the caller holds the lock. Files that no journal writes stay, and their folder with them.

    The folder of its run goes with its last journal; another one, into which somebody copied a journal, stays. When
    killed in between, nothing is left that would be sent again, and what is left still proves whose it is.
    """
    run_id, above = find_meta(folder).get("run_id"), os.path.dirname(folder)
    is_of_run = run_id is None or os.path.basename(above) == folder_name(run_id)  # None: only its end is left
    try:
        names = sorted(filter(is_ours, os.listdir(folder)), key=deletion_order)
    except OSError:
        return
    for name in names:
        remove(os.path.join(folder, name))
    for path in (folder, above) if is_of_run else (folder,):
        try:
            os.rmdir(path)
        except OSError:
            return  # not empty: another journal of the run, or a file that is not ours


def find_journals(home: str, unreadable: list[str] | None = None) -> Iterator[str]:
    """
    Yield the folder of each journal below `home`, which may be the journal home, a run's folder or one journal.

    Folders that cannot be read are skipped, and added to `unreadable` with the reason.
    """
    waiting = [(home, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if unreadable is not None:
                unreadable.append(f"{folder}: {error.strerror}")
            continue
        if is_journal(folder, names):
            yield folder
        elif depth < 3:
            inside = [name for name in reversed(names) if not name.startswith(_NO_JOURNALS)]
            waiting += [(os.path.join(folder, name), depth + 1) for name in inside]


def warn_unusable(home: str, error: OSError) -> None:
    """Warn once that the journal is in memory because its folder cannot be used."""
    if isinstance(error, NoHome):
        warn_once("journal", f"{error}: {IN_MEMORY}: set GATEWAY_JOURNAL_DIR, or GATEWAY_HOME, to a folder")
        return
    is_full = error.errno in (ENOSPC, EDQUOT, EFBIG)
    step = "free disk there" if is_full else "make the folder writable"
    warn_once(
        "journal",
        f"the journal folder {home} cannot be used ({error}): {IN_MEMORY}: {step}, or set GATEWAY_JOURNAL_DIR to "
        f"{'a disk with room' if is_full else 'one that is'}",
    )
