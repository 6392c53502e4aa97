"""
The runs of one delivery that are read from the log a second time: requests for it, and their record in PostgreSQL.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from consumers.delivery.flow.backlog import Backlog
from consumers.delivery.flow.outages import OutageNotices
from consumers.store.delivery.orders import RereadPosition, Trackers
from consumers.telemetry.instruments import DeliveryWatch

log = logging.getLogger("consumers.delivery")


class Rereads:
    """
    Requests to re-read runs, and what PostgreSQL knows about them.

    `catch_up_requested` and `history_requested` wake the two that serve requests (catch_up.py, history.py). They are
    events here, because each of the two has to wake the other.
    """

    def __init__(
        self,
        tracker: str,
        trackers: Trackers,
        backlog: Backlog,
        outages: OutageNotices,
        watch: DeliveryWatch,
        only: frozenset[str] | None,
    ) -> None:
        """Serve the runs in `only`; None: all runs."""
        self._tracker, self._trackers, self._backlog = tracker, trackers, backlog
        self._outages, self._watch, self._only = outages, watch, only
        self._marking: set[str] = set()  # caught up, and PostgreSQL is about to know
        self.catch_up_requested = asyncio.Event()
        self.history_requested = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether no run is to be re-read any more, and PostgreSQL knows that."""
        return not self._marking and not self._backlog.has_rereads

    def is_marking(self, run_id: str) -> bool:
        """Tell whether PostgreSQL may still list a run to re-read although it has caught up."""
        return run_id in self._marking

    async def queue(self, positions: Mapping[str, RereadPosition]) -> None:
        """Queue these runs for a re-read, except those already queued or currently in a call."""
        for run_id, (partition, offset) in positions.items():
            is_ours = self._only is None or run_id in self._only
            if is_ours and not self._backlog.is_rereading(run_id) and not self._backlog.is_in_call(run_id):
                self._backlog.start_reread(run_id, partition, offset)
        self.request()

    def start(self, run_id: str, partition: int, offset: int) -> None:
        """Queue one run for a re-read, from this offset on."""
        self._backlog.start_reread(run_id, partition, offset)
        self.request()

    def request(self) -> None:
        """Wake both: more runs have to be re-read, so reading begins again at the lowest offset of all."""
        self.catch_up_requested.set()
        self.history_requested.set()

    async def mark_caught_up(self, run_ids: Sequence[str]) -> None:
        """Record that runs have caught up; a call that begins in the meantime may still read the opposite."""
        self._marking.update(run_ids)
        await self._outages.retry_store(lambda: self._trackers.caught_up(self._tracker, run_ids))
        self._marking.difference_update(run_ids)

    async def park(self, reasons: Mapping[str, str]) -> None:
        """Park runs that cannot be delivered, each with the reason."""
        await self._outages.retry_store(lambda: self._trackers.park(self._tracker, reasons))
        for run_id, reason in reasons.items():
            report_parked(self._tracker, run_id, reason, self._watch)
            self._backlog.park(run_id)


def report_parked(tracker: str, run_id: str, reason: str, watch: DeliveryWatch) -> None:
    """Log and count a run that is parked."""
    log.warning("run %s is parked for %s: %s", run_id, tracker, reason)
    watch.delivery.parked()
