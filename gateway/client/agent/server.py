"""
The agent: one process that ships the journals of all processes of a host.

The main thread takes journals, tells their owners how the log is, and notices owners that have ended. There is one
shipper, with its thread and connection, for each address. A thread of its own reads the journals of the dead, which may
take long. All journals of an address are cut in one turn, so that records of many producers go to the log in one batch.
"""

from __future__ import annotations

import os
import select
from time import monotonic

from gateway.client.address import Address
from gateway.client.agent.live_journal import LiveJournal
from gateway.client.agent.orphans import OrphanedJournals
from gateway.client.agent.place import PROTOCOL, SHARED, WAKE, fingerprint, pulse_of
from gateway.client.agent.wakeups import WakeupSocket
from gateway.client.encoding.values import now
from gateway.client.ids import uuid7
from gateway.client.journal.readable import Withdrawn
from gateway.client.notices import warn_once
from gateway.client.process.owner import this_process
from gateway.client.shipping.producer import Producer
from gateway.client.shipping.shipper import Shipper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from mmap import mmap

    from gateway.client.agent.place import AgentPlace
    from gateway.client.journal.folder import JournalLock

CUT_EVERY_S = 0.1  # how often all journals are cut, unless somebody waits
TURN_S = 0.1  # the longest pause of the main thread
TURN_AT_LEAST_S = 0.02  # between two looks at all journals, however many messages come
LOOK_EVERY_S = 0.25  # for owners that have ended
SEARCH_EVERY_S = 5.0  # for journals whose message was lost, and for those of the dead
AWAY_S = 600.0  # without a log and without a living training: then waiting is no work
IDLE_S = 60.0


class NodeAgent:
    """
    The agent of one folder, with these credentials for one URL; others get none.

    It ends after `idle_s` seconds without work; 0: never.
    """

    def __init__(self, place: AgentPlace, options: Mapping[str, str], url: str = "", *, idle_s: float = IDLE_S) -> None:
        self.id = uuid7()
        self.is_stopping = False
        self._place = place
        self._options, self._url = dict(options), url
        self._idle_s = idle_s
        self._shippers: dict[tuple[str, str], Shipper] = {}
        self._live: dict[str, tuple[LiveJournal, Producer, Shipper]] = {}  # by folder
        self._dead = OrphanedJournals(place.home, self.id)
        self._near_at = 0.0  # when a log was reached last
        self._turn_at = self._look_at = self._search_at = 0.0

    def ship_to(self, address: tuple[str, str]) -> Shipper:
        """Return the shipper to this URL and topic."""
        found = self._shippers.get(address)
        if found is None:
            url, topic = address
            options = self._options if url == self._url else {}
            found = Shipper(Address(url, topic, options=options), adopts=False, every_s=CUT_EVERY_S)
            found.attach(())
            self._shippers[address] = found
        return found

    def run(self, tell: Callable[[], None]) -> bool:
        """
        Work until stopped, or idle; return False when another agent has the folder. Raises OSError.

        `tell` is called when it can be found.
        """
        lock = self._lock()
        if lock is None:
            return False
        try:
            pulse = self._place.map_pulse(writes=True)
            pulse[:] = pulse_of(self.id, 0)
            wakeups = WakeupSocket(self._place.path(WAKE))
            self._place.write_state(self._describe())
            tell()
            try:
                self._work(wakeups, pulse)
            finally:
                wakeups.close()
        finally:
            for shipper in self._shippers.values():
                shipper.stop()
            self._dead.close()
            lock.release()
        return True

    def _lock(self) -> JournalLock | None:
        deadline = monotonic() + 1.0
        while (lock := self._place.lock()) is None and monotonic() < deadline:
            select.select((), (), (), 0.02)  # a client that looks whether there is an agent has it for a moment
        return lock

    def _describe(self) -> dict[str, object]:
        from gateway import __version__

        salt = os.urandom(16).hex()
        return {
            "id": self.id,
            "protocol": PROTOCOL,
            "release": __version__,
            "time": now(),
            "salt": salt,
            "fingerprint": fingerprint(self._options, salt, self._url),
            "shared": os.path.basename(self._place.folder) == SHARED,
            "idle_s": self._idle_s,
            **this_process(),
        }

    def _work(self, wakeups: WakeupSocket, pulse: mmap) -> None:
        active = monotonic()
        while not self.is_stopping:
            select.select((wakeups,), (), (), TURN_S)
            messages = wakeups.receive()
            for folder in filter(None, messages):
                self._take(folder)
            if messages:
                for shipper in self._shippers.values():
                    shipper.wake()
            time = monotonic()
            pulse[:] = pulse_of(self.id, int(time * 1_000_000))
            if time >= self._turn_at:
                self._turn_at = time + TURN_AT_LEAST_S
                self._turn(time)
            if self._live or (self._dead.is_busy and self._is_log_near(time)):
                active = time
            if self._idle_s and time - active > self._idle_s:
                return

    def _is_log_near(self, time: float) -> bool:
        """Return whether a log was reached in the last minutes: journals of the dead can wait for another agent."""
        if not self._near_at or any(shipper.is_connected for shipper in self._shippers.values()):
            self._near_at = time
        return time - self._near_at < AWAY_S

    def _turn(self, time: float) -> None:
        for folder, (journal, producer, shipper) in list(self._live.items()):
            error = shipper.uncut.get(producer) or shipper.last_error
            journal.report(
                {"agent": self.id, "connected": shipper.is_connected, "error": error, "notice": shipper.notice}
            )
            if producer.is_done and not journal.is_granted:
                self._forget(folder)
        if time >= self._look_at:
            self._look_at = time + LOOK_EVERY_S
            self._look()
        if time >= self._search_at:
            self._search_at = time + SEARCH_EVERY_S
            self.is_stopping = self.is_stopping or not os.path.isdir(self._place.folder)  # the home was deleted
            self._dead.search(self._shippers, set(self._live))
        for folder in self._dead.settle():
            self._take(folder)

    def _look(self) -> None:
        """Forget journals that were taken back, and ship those whose owner has ended as an orphan."""
        for folder, (journal, _, shipper) in list(self._live.items()):
            if not journal.is_granted:
                self._forget(folder)
            elif journal.is_orphaned:
                self._forget(folder)
                self._dead.ship(folder, shipper)

    def _take(self, folder: str) -> None:
        """Ship the journal in a folder from now on, if it is granted to this agent."""
        if folder in self._live and not self._live[folder][0].is_granted:
            self._forget(folder)
        if folder in self._live or not os.path.abspath(folder).startswith(os.path.join(self._place.home, "")):
            return
        try:
            journal = LiveJournal(folder, self.id)
        except Withdrawn:
            return
        except OSError as error:  # its owner ships it, when it sees that the agent does not
            warn_once("take", f"the journal {folder} cannot be taken ({error})")
            return
        producer, shipper = Producer(journal), self.ship_to(journal.address)
        self._live[folder] = journal, producer, shipper
        shipper.attach([producer])

    def _forget(self, folder: str) -> None:
        journal, producer, shipper = self._live.pop(folder)
        shipper.detach(producer)
        journal.close()
