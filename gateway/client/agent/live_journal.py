"""
A journal that another process writes at this moment, as the agent that ships it sees it.

docs/journal.md says why nothing is cut in two ways: a cut is sent if the grant is still there after it was written.
Nothing is deleted here; the owner does that.
"""

from __future__ import annotations

import fcntl
import os
from time import monotonic

from gateway.client.agent.live_segment import LiveSegment
from gateway.client.journal.cursor import UNPUBLISHED, ShippingCursor, producer_of
from gateway.client.journal.grants import find_grant
from gateway.client.journal.ownership import LOCK, find_meta
from gateway.client.journal.readable import Withdrawn
from gateway.client.journal.segment import numbers_in
from gateway.client.process.owner import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gateway.client.journal.cursor import BatchBoundary
    from gateway.client.journal.entries import Marker
    from gateway.client.journal.readable import JournalPosition
    from gateway.client.journal.segment import Segment

ASK_OWNER_S = 0.5  # how often what the owner writes down is read; only a slot that stays empty needs it


class LiveJournal:
    """The journal in a folder, granted to the agent of this id. Raises Withdrawn when it is not, and OSError."""

    def __init__(self, folder: str, agent: str) -> None:
        self.folder = folder
        self.meta = find_meta(folder)
        self.run_id = str(self.meta.get("run_id"))
        self.is_trusted = True  # no disk was in between
        self.segments: dict[int, Segment] = {}
        self.markers: list[Marker] = []
        self._report: dict[str, Any] = {"agent": agent}
        # The grant first: while it is there, the cursor that is opened now is the one that counts.
        self._grant = find_grant(folder, agent)
        self.cursor = _open_cursor(folder)
        self._current: LiveSegment | None = None
        self._ask_at = 0.0
        if not self.is_granted:
            raise Withdrawn(folder)
        if not self.meta:
            raise OSError(f"{folder} does not say whose journal it is")
        if self.cursor.is_damaged:
            raise OSError(f"{folder} has a damaged shipping cursor")
        try:
            self._lock = os.open(os.path.join(folder, LOCK), os.O_RDWR)
        except FileNotFoundError:  # something that deletes old files deleted it
            self._lock = -1

    @property
    def address(self) -> tuple[str, str]:
        """URL and topic to which the journal is to be sent."""
        return str(self.meta.get("address", "")), str(self.meta.get("topic", ""))

    @property
    def is_granted(self) -> bool:
        """Whether the agent may cut the journal."""
        return bool(self._grant) and os.path.exists(self._grant)

    @property
    def is_orphaned(self) -> bool:
        """Whether the owner has ended, or let the journal go."""
        if self._lock < 0:
            return not is_alive(self.meta)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        return True

    def close(self) -> None:
        """Close the file of the lock; mapped memory is released with the last record that is in it."""
        handle, self._lock = self._lock, -1
        if handle >= 0:
            os.close(handle)

    def report(self, report: dict[str, Any]) -> None:
        """Tell the owner how the agent is, when that has changed."""
        if report != self._report:
            self._report = report
            self.cursor.report(report)

    # For the producer.

    @property
    def dropped(self) -> int:
        """Points and values dropped so far."""
        self.cursor.refresh_owner()
        return self.cursor.dropped

    def tail(self) -> JournalPosition:
        """Return segment and offset of the end. Everything before is written."""
        now, known = monotonic(), (0, 0)
        if now >= self._ask_at:
            self._ask_at = now + ASK_OWNER_S
            self.cursor.refresh_owner()
            known = self.cursor.tail
        current = self._current or self._open_first()
        if current is None:
            return (0, 0)
        while not current.advance(known[1] if known[0] == current.number else 0):
            after = LiveSegment.find(self.folder, current.number + 1)
            if after is None:
                break
            current.close()
            self.segments[after.number] = self._current = current = after
        return current.number, current.end

    def _open_first(self) -> LiveSegment | None:
        """Open the segment in which the first cut that is not acknowledged begins, or the next cut will."""
        waiting = self.cursor.read(self.cursor.acknowledged) if self.cursor.cuts > self.cursor.acknowledged else None
        needed = waiting.segment if waiting is not None else self.cursor.end[0]
        number = min((one for one in numbers_in(self.folder) if one >= needed), default=0)
        found = LiveSegment.find(self.folder, number) if number else None
        if found is not None:
            self.segments[found.number] = self._current = found
        return found

    def prepare(self) -> None:
        """Do nothing: the owner makes the segments."""

    def record_cut(self, boundary: BatchBoundary, points: int, *, is_last: bool = False) -> None:
        """Write down a cut, and the number of metric points up to its end. Raises Withdrawn: it must not be sent."""
        self.cursor.append(boundary, points, is_last=is_last)
        if not self.is_granted:  # only now: a grant that is still there means that the cut will be found
            raise Withdrawn(self.folder)

    def pass_over(self, position: JournalPosition) -> None:
        """Write down that nothing has to be cut before this position."""
        self.cursor.pass_over(position)

    def acknowledge(
        self, seq: int, cuts: int, position: JournalPosition | None, points: int = 0, values: int = 0
    ) -> None:
        """Write down that the log has `cuts` more cuts, `points` and `values` more, all records below `seq`."""
        if not self._report.get("connected"):  # the owner must not see this first
            self.report({**self._report, "connected": True, "notice": ""})
        self.cursor.acknowledge(seq, cuts, points, values)
        for number, one in list(self.segments.items()):
            if position is not None and one is not self._current and (number, one.end) <= position:
                del self.segments[number]

    def count_lost(self, count: int) -> None:
        """Count points or values in the journal that will never be sent."""
        self.cursor.lost += count
        self.cursor.save()

    def remove(self) -> None:
        """Do nothing: the owner deletes the journal."""


def _open_cursor(folder: str) -> ShippingCursor:
    names = [name for name in os.listdir(folder) if producer_of(name) and not name.endswith(UNPUBLISHED)]
    if not names:
        raise FileNotFoundError(f"{folder} has no shipping cursor")
    return ShippingCursor.open(os.path.join(folder, max(names)))
