"""
Decide whether a consumer lives, is ready, and how far behind it is in time.

Pure: the clock comes in as a value. An outage that ends every attempt within its time leaves a process alive and not
ready, because a new start would not help; an attempt that never ends (a lock, a tracker that hangs, a reader that
went silent) makes it unhealthy after `stall_s`, because a new start may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pulse:
    """When a consumer last came forward. Times are monotonic seconds."""

    stall_s: float
    moved: float  # when an attempt last ended, well or not, or nothing was left to do
    consuming: bool = False  # it reads the log
    waiting: bool = True  # records wait, as far as is known
    problem: str = ""  # the service it waits for, and why
    log_away: str = ""  # why the log cannot be asked now: nothing can come from it either

    def beat(self, now: float, problem: str = "") -> None:
        """Note that an attempt ended; `problem` says why it failed."""
        self.moved, self.problem = now, problem

    def idle(self, now: float) -> None:
        """Note that nothing is left to do."""
        self.moved, self.waiting = now, False

    def records_wait(self) -> None:
        """Note that records wait: none may have been seen since nothing was left to do."""
        self.waiting = True

    def log_asked(self, now: float, problem: str = "") -> None:
        """Note whether the log answered; while it does not, a new start would not help."""
        self.log_away = problem
        if problem:
            self.moved = now

    def unhealthy(self, now: float) -> str:
        """Return why a new start may help, "" while the process lives."""
        stalled = now - self.moved
        if not (self.consuming and self.waiting) or stalled <= self.stall_s:
            return ""
        return f"records wait and nothing moved for {stalled:.0f} s"

    def unready(self) -> str:
        """Return what the process waits for, "" while it does its work."""
        if not self.consuming:
            return self.problem or "it does not read the log yet"
        return self.problem or self.log_away


@dataclass(slots=True)
class TimeLag:
    """How old the oldest record is that a consumer has not applied, by partition. Times are s since 1970."""

    applied_at: dict[int, float] = field(default_factory=dict)  # Kafka's time of the last applied record
    caught_up_at: dict[int, float] = field(default_factory=dict)  # when nothing was left to apply

    def seconds(self, behind: Mapping[int, int], now: float) -> dict[int, float]:
        """
        Return the age for each partition, from how many records are not applied.

        What waits came after the last applied record and after the moment at which nothing waited: the later of the
        two bounds its age from above, to within the time between two calls. A partition of which neither is known
        yet has no age.
        """
        for partition, records in behind.items():
            if records == 0:
                self.caught_up_at[partition] = now
        found = {}
        for partition, records in behind.items():
            known = [times[partition] for times in (self.applied_at, self.caught_up_at) if partition in times]
            if known:
                found[partition] = max(0.0, now - max(known)) if records else 0.0
        return found

    def forget(self) -> None:
        """Start anew: the partitions may be others."""
        self.applied_at.clear()
        self.caught_up_at.clear()
