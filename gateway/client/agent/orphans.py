"""
The journals of processes that have ended: searched for, read and shipped by an agent, several at once.

A thread of its own reads them. A large one takes long, and the living must not wait for it.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue

from gateway.client.journal.folder import find_journals
from gateway.client.journal.grants import find_grant
from gateway.client.journal.ownership import read_meta
from gateway.client.notices import warn_once
from gateway.client.shipping.recovery import adopt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.client.shipping.recovery import OrphanedJournal
    from gateway.client.shipping.shipper import Shipper

MAX_OPEN = 32  # adopted at once for an address: each has all of its files open


class OrphanedJournals:
    """What an agent does with the journals of the dead in a journal home."""

    def __init__(self, home: str, agent: str) -> None:
        self._home = home
        self._agent = agent
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._waiting = 0  # tasks that are not done
        self._is_searching = False
        self._rooms: dict[Shipper, threading.Semaphore] = {}  # one address that is away holds up no other
        self._open: list[tuple[OrphanedJournal, Shipper]] = []
        self._granted: list[str] = []  # journals of the living that were found by the way
        self._skipped: set[str] = set()  # folders not to examine again
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="gateway-orphans", daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a journal is being read or shipped."""
        return bool(self._open) or self._waiting > self._is_searching

    def ship(self, folder: str, shipper: Shipper) -> None:
        """Ship the journal in a folder, whose owner has ended."""
        self._submit(lambda: self._adopt(folder, shipper))

    def search(self, shippers: Mapping[tuple[str, str], Shipper], known: set[str]) -> None:
        """Look for journals that are to be sent where one of these shippers sends, `known` folders left out."""
        if not self._is_searching:
            self._is_searching = True
            here = dict(shippers)
            self._submit(lambda: self._search(here, known))

    def settle(self) -> list[str]:
        """Delete the journals that are sent; return those of living processes that were found by the way."""
        for orphan, shipper in list(self._open):
            if orphan.is_done:
                orphan.delete()
            elif reason := shipper.give_up(orphan):
                self._skip(orphan.folder, reason)
            else:
                continue
            orphan.close()
            self._open.remove((orphan, shipper))
            self._room(shipper).release()
        found, self._granted = self._granted, []
        return found

    def close(self) -> None:
        """Let go of all journals; the next agent finds them again."""
        self._is_stopping = True
        self._tasks.put(None)
        self._thread.join(5.0)
        for orphan, _ in self._open:
            orphan.close()

    def _submit(self, task: Callable[[], None]) -> None:
        self._waiting += 1
        self._tasks.put(task)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None and not self._is_stopping:
            try:
                task()
            except Exception as error:  # noqa: BLE001 -- the edge of the thread: the next search meets it again
                warn_once("orphans", f"journals of the dead cannot be examined ({error!r:.300})")
            self._waiting -= 1

    def _search(self, shippers: Mapping[tuple[str, str], Shipper], known: set[str]) -> None:
        try:
            for folder in find_journals(self._home):
                if self._is_stopping:
                    return
                if folder in known or folder in self._skipped:
                    continue
                meta = read_meta(folder)
                shipper = shippers.get((str(meta.get("address")), str(meta.get("topic"))))
                if find_grant(folder, self._agent):
                    self._granted.append(folder)
                elif shipper is not None:
                    self._adopt(folder, shipper)
        finally:
            self._is_searching = False

    def _adopt(self, folder: str, shipper: Shipper) -> None:
        if not self._room(shipper).acquire(blocking=False):
            return  # the next search finds it again
        orphan = None
        try:
            orphan = None if self._is_stopping else adopt(folder)
        except Exception as error:  # noqa: BLE001 -- a folder in an unforeseen state: it stays for `gateway sync`
            self._skip(folder, f"{error!r:.300}")
        if orphan is None:
            self._room(shipper).release()
            return
        shipper.adopt(orphan)
        self._open.append((orphan, shipper))

    def _room(self, shipper: Shipper) -> threading.Semaphore:
        return self._rooms.setdefault(shipper, threading.Semaphore(MAX_OPEN))

    def _skip(self, folder: str, reason: str) -> None:
        self._skipped.add(folder)
        warn_once(f"skip {folder}", f"the journal {folder} cannot be sent ({reason}): `gateway sync` names it, too")
