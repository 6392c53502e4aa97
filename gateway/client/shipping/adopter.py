"""
Find journals that dead processes left for one address, and hand them to the shipper, one after the other.

In the background of training: a journal is searched for and read in a thread of its own, which mostly rests, and cut
slowly. A node agent and `gateway sync` do not use this.
"""

from __future__ import annotations

import threading
from time import monotonic

from gateway.client.process.forks import importing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.client.shipping.producer import Producer
    from gateway.client.shipping.recovery import OrphanedJournal

REST = 4  # rest between two cuts of a dead process's journal, in times of the first one
EVERY_S = 30.0  # between two searches


class Adopter:
    """The search of one shipper, and the journal that it found. `adopt` ships one, `give_up` says why it cannot."""

    def __init__(self, adopt: Callable[[OrphanedJournal], None], give_up: Callable[[OrphanedJournal], str]) -> None:
        self.has_let_go = False  # finished journals of this process wait to be found again
        self.is_stopping = False
        self.last_error = ""
        self._adopt = adopt
        self._give_up = give_up
        self._orphan: OrphanedJournal | None = None  # that is being shipped
        self._is_searching = False
        self._search_at = 0.0  # time of the next search, monotonic
        self._cut_at = 0.0  # no cut of the orphan before this time, monotonic
        self._skipped: set[str] = set()  # folders not to examine again

    def settle(self) -> None:
        """Let go of a journal that is sent, or that cannot be."""
        orphan = self._orphan
        if orphan is None:
            return
        if orphan.is_done:
            orphan.delete()
        elif self._give_up(orphan):
            self._skipped.add(orphan.folder)
        else:
            return
        orphan.close()
        self._orphan, self._search_at = None, 0.0

    def let_go(self) -> None:
        """Search at the next occasion: this process has let go of journals of its own."""
        self.has_let_go, self._search_at = True, 0.0

    def search(self, address: tuple[str, str]) -> None:
        """Look for a journal that was to be sent to this address, unless that was done a moment ago."""
        now = monotonic()
        if self._is_searching or self._orphan is not None or now < self._search_at:
            return
        self._search_at, self._is_searching = now + EVERY_S, True
        try:  # reading a large journal takes long: meanwhile the shipper's thread must ship
            threading.Thread(target=self._find, args=(address,), name="gateway-adopter", daemon=True).start()
        except RuntimeError:  # no thread is left, or the interpreter is exiting
            self._is_searching = False

    def may_cut(self, producer: Producer) -> bool:
        """Return False for a producer of an orphaned journal that must not be cut yet."""
        return not self.has(producer) or monotonic() >= self._cut_at

    def has(self, producer: Producer) -> bool:
        """Return whether a producer is one of the orphaned journal."""
        return self._orphan is not None and producer in self._orphan.producers

    def rest_after(self, begun: float) -> None:
        """Cut no more for a while: cutting, which began at this time, must not take time from training."""
        self._cut_at = monotonic() + REST * (monotonic() - begun)

    def _find(self, address: tuple[str, str]) -> None:
        """Adopt one orphaned journal, in a thread of its own."""
        try:
            with importing():
                from gateway.client.shipping.recovery import find_orphan
            found = find_orphan(address, self._skipped)
            self.has_let_go = self.has_let_go and found is not None
            if found is not None and self.is_stopping:
                found.close()
            elif found is not None:
                self._orphan = found
                self._adopt(found)
        except Exception as error:  # noqa: BLE001 -- a folder in an unforeseen state: it stays for `gateway sync`
            self.last_error = repr(error)
        finally:
            self._is_searching = False
