"""
The runs of one delivery that are read a second time: who orders it, and what is written down when they are level again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from consumers.delivery.backfill.catch_up import CatchingUp
from consumers.delivery.backfill.history import Counts, History, Supply
from consumers.delivery.flow.backlog import Backlog
from consumers.delivery.flow.outages import Patience
from consumers.log.reader import LogReader
from consumers.store.delivery.orders import RereadPosition
from consumers.telemetry.instruments import DeliveryWatch

log = logging.getLogger("consumers.delivery")


class ReadAgain:
    """The second reading of one delivery, and what PostgreSQL is told about it."""

    def __init__(self, supply: Supply, patience: Patience, watch: DeliveryWatch, only: frozenset[str] | None) -> None:
        self._tracker, self._trackers, self._patience, self._watch = supply.tracker, supply.trackers, patience, watch
        self._supply, self._only = supply, only
        self._history: History | None = None
        self._settling: set[str] = set()  # behind no more, and PostgreSQL is about to know
        self._backlog = Backlog({})
        self._reading: CatchingUp | None = None

    def prepare(
        self,
        open_reader: Callable[[], LogReader],
        backlog: Backlog,
        *,
        target: Callable[[int], int | None],
        is_full: Callable[[], bool],
        on_records: Callable[[], object],
    ) -> CatchingUp:
        """Return the second reading of this backlog, to be run; see CatchingUp."""
        self._backlog = backlog
        self._history = History(backlog, self._supply, is_full, on_records)
        self._reading = CatchingUp(
            open_reader, backlog, target=target, is_full=is_full, caught_up=self.settle, gone=self.park,
            history=self._history,
        )  # fmt: skip
        self._reading.on_records = on_records
        return self._reading

    @property
    def is_settled(self) -> bool:
        """Whether nobody is behind, in PostgreSQL's eyes too."""
        return not self._settling and not self._backlog.behind()

    def is_settling(self, run_id: str) -> bool:
        """Tell whether PostgreSQL may still think that a run is behind."""
        return run_id in self._settling

    def positions(self) -> dict[int, int]:
        """Return by partition where it reads."""
        return dict(self._reading.positions) if self._reading else {}

    def histories(self) -> Counts:
        """Return how far the histories are that come from PostgreSQL."""
        return self._history.counts() if self._history else Counts()

    async def order(self, behind: Mapping[str, RereadPosition]) -> None:
        """Give runs to it, those aside that it has, and those whose call is about to find out."""
        for run_id, (partition, offset) in behind.items():
            wanted = self._only is None or run_id in self._only
            if wanted and not self._backlog.is_behind(run_id) and not self._backlog.is_out(run_id):
                self._backlog.fall_behind(run_id, partition, offset)
        self._call()

    def fall_behind(self, run_id: str, partition: int, offset: int) -> None:
        """Give it a run that PostgreSQL says is behind."""
        self._backlog.fall_behind(run_id, partition, offset)
        self._call()

    async def settle(self, run_ids: Sequence[str]) -> None:
        """Write down that runs are behind no more; a call that begins meanwhile may still read the opposite."""
        self._settling.update(run_ids)
        await self._patience.store(lambda: self._trackers.caught_up(self._tracker, run_ids))
        self._settling.difference_update(run_ids)

    async def park(self, reasons: Mapping[str, str]) -> None:
        """Give up runs that cannot be delivered."""
        await self._patience.store(lambda: self._trackers.park(self._tracker, reasons))
        for run_id, reason in reasons.items():
            log.warning("run %s is parked for %s: %s", run_id, self._tracker, reason)
            self._watch.delivery.parked()
            self._backlog.parked(run_id)

    def _call(self) -> None:
        assert self._reading is not None
        self._reading.call()
