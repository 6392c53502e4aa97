"""
A journal of this process and who ships it: an agent, this process, or neither yet.

It has what `Producer` has for those who count and wait. While an agent has the journal, the shared cursor gives the
answers.
"""

from __future__ import annotations

import os

from gateway.client.journal.cursor import CUT_CLOSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gateway.client.journal.cursor import ShippingCursor
    from gateway.client.journal.journal import Journal
    from gateway.client.shipping.producer import Producer

CLAIM_S = 5.0  # the longest an agent may take to take a journal
SEARCH_S = 15.0  # ... when it has to find it by a search
STALL_S = 15.0  # the longest without progress while something waits; the log counts as away after ten seconds
REFUSED_S = 60.0  # how long an agent that did not ship a journal does not get it again


class FollowedJournal:
    """One journal, and how far it is shipped."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.own: Producer | None = None  # this process ships it
        self.is_leaving = False  # this process stops shipping it, for an agent
        self.leaves_at = 0.0  # not before this time, monotonic
        self._refused = ("", 0.0)  # id of an agent that did not ship it, and until when it does not get it again
        self.agent = ""  # id of the agent that has it
        self.reason = ""  # why it was taken back
        self._claim_at = 0.0  # the agent must have taken it by then, monotonic
        self._progress: tuple[object, float] = (None, 0.0)  # how far it is, and since when

    # For those who count and wait.

    @property
    def records(self) -> int:
        """Number of records cut."""
        if self.own is not None:
            return self.own.records
        cursor = self._read()
        return 0 if cursor is None else cursor.records

    @property
    def acknowledged_records(self) -> int:
        """Number of records that are acknowledged."""
        if self.own is not None:
            return self.own.acknowledged_records
        cursor = self._read()
        return 0 if cursor is None else cursor.seq

    @property
    def acknowledged_points(self) -> int:
        """Number of points that are acknowledged."""
        if self.own is not None:
            return self.own.acknowledged_points
        cursor = self._read()
        return 0 if cursor is None else cursor.acknowledged_points

    @property
    def acknowledged_values(self) -> int:
        """Number of other values that are acknowledged."""
        if self.own is not None:
            return self.own.acknowledged_values
        cursor = self._read()
        return 0 if cursor is None else cursor.acknowledged_values

    @property
    def lost(self) -> int:
        """Number of points and values that were in the journal and that the log will never have."""
        if self.own is not None:
            return self.own.lost
        cursor = self._read()
        return 0 if cursor is None else cursor.lost

    @property
    def is_closed(self) -> bool:
        """Whether the end of the producer is cut: nothing can follow."""
        if self.own is not None:
            return self.own.is_closed
        cursor = self._read()
        return cursor is not None and bool(cursor.flags & CUT_CLOSED)

    @property
    def is_done(self) -> bool:
        """Whether everything this producer will ever send is acknowledged."""
        if self.own is not None:
            return self.own.is_done
        self._read()
        return self.is_over

    @property
    def is_settled(self) -> bool:
        """Whether everything that is cut is acknowledged."""
        cursor = self.journal.cursor
        return cursor is None or cursor.acknowledged == cursor.cuts

    @property
    def is_over(self) -> bool:
        """Whether it is done, as far as was read last."""
        cursor = self.journal.cursor
        return self.is_settled and cursor is not None and bool(cursor.flags & CUT_CLOSED)

    def _read(self) -> ShippingCursor | None:
        self.journal.read_cursor()
        return self.journal.cursor

    # For the thread that follows it.

    @property
    def is_on_disk(self) -> bool:
        """Whether all of it is in files that are there, so that another process can read it."""
        segments = list(self.journal.segments.values())
        return bool(self.journal.folder) and all(one.path and os.path.exists(one.path) for one in segments)

    def may_go_to(self, agent: str, now: float) -> bool:
        """Return whether the agent of this id, which may be empty, can have it."""
        refused, until = self._refused
        return bool(agent) and (agent != refused or now > until) and self.is_on_disk

    def write_tail(self) -> None:
        """Tell the agent where the journal ends."""
        tail = self.journal.tail()
        if tail != (0, 0):  # unknown at this moment
            self.journal.write_tail(tail)

    def hand_over(self, agent: str, now: float, send: Callable[[str], bool]) -> None:
        """Let an agent ship it, and send it a message. Raises OSError when there is no room."""
        self.write_tail()
        self.journal.hand_over(agent)
        is_told = send(self.journal.folder)
        self.agent, self.own, self.is_leaving = agent, None, False
        self._claim_at, self._progress = now + (CLAIM_S if is_told else SEARCH_S), (None, now)

    def fault(self, report: dict[str, Any], now: float) -> str:
        """Return why the agent should not keep it; "" when all is well."""
        journal = self.journal
        cursor = journal.cursor
        assert cursor is not None
        if not os.path.exists(journal.grant):
            return "its grant was deleted"
        if any(not one.path for one in list(journal.segments.values())):
            return "the disk is full, and a part of it is in memory"
        if report.get("agent") != self.agent:
            late = now > self._claim_at
            self._refused = (self.agent, now + REFUSED_S) if late else ("", 0.0)
            return "the agent does not take it" if late else ""  # it may have many to take at once
        here = (cursor.cuts, cursor.acknowledged, cursor.end)
        waits = cursor.acknowledged < cursor.cuts or cursor.end < cursor.tail
        if here != self._progress[0] or not waits or not report.get("connected"):
            self._progress = (here, now)
        elif now - self._progress[1] > STALL_S:
            self._refused = (self.agent, now + REFUSED_S)
            return "the agent makes no progress"
        return ""
