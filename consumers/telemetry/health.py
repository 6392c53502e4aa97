"""
Decide whether a consumer is healthy, whether it is ready, and how far behind it is in time.

Pure: the clock comes in as a value. During an outage in which every attempt ends in time, a process stays healthy but
is not ready, because a restart would not help. An attempt that never ends (a lock, a tracker that hangs, a reader that
stopped) makes it unhealthy after `stall_s`, because a restart may help.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Pulse:
    """When a consumer last made progress. Times are monotonic seconds."""

    stall_s: float
    moved: float  # when an attempt last ended, successful or not, or nothing was left to do
    consuming: bool = False  # whether it reads the log
    waiting: bool = True  # whether records wait, as far as is known
    problem: str = ""  # which service it waits for, and why
    damaged: str = ""  # which part of the log cannot be read; the other partitions are
    log_away: str = ""  # why the log cannot be reached now; while it cannot, no records come from it either

    def beat(self, now: float, problem: str = "") -> None:
        """Record that an attempt ended; `problem` is why it failed, "" if it succeeded."""
        self.moved, self.problem = now, problem

    def idle(self, now: float) -> None:
        """Record that nothing is left to do."""
        self.moved, self.waiting = now, False

    def records_wait(self) -> None:
        """Record that records wait, also if none has been read since the consumer was idle."""
        self.waiting = True

    def log_asked(self, now: float, problem: str = "") -> None:
        """Record whether the log answered. While it does not, a restart would not help."""
        self.log_away = problem
        if problem:
            self.moved = now

    def unhealthy(self, now: float) -> str:
        """Return why a restart may help, "" while the process is healthy."""
        stalled = now - self.moved
        if not (self.consuming and self.waiting) or stalled <= self.stall_s or self.damaged:
            return ""
        return f"records wait and nothing moved for {stalled:.0f} s"

    def unready(self) -> str:
        """Return what the process waits for, "" while it is ready."""
        if not self.consuming:
            return self.problem or "it does not read the log yet"
        return self.problem or self.damaged or self.log_away


@dataclass(slots=True)
class TimeLag:
    """Age of the oldest record that a consumer has not applied, by partition. Times are s since 1970."""

    applied_at: dict[int, float] = field(default_factory=dict)  # Kafka's time of the last applied record
    caught_up_at: dict[int, float] = field(default_factory=dict)  # when nothing was left to apply

    def seconds(self, behind: Mapping[int, int], now: float) -> dict[int, float]:
        """
        Return the age for each partition in seconds; `behind` is how many of its records are not applied.

        Waiting records arrived after the last applied record and after the last moment at which none waited. The later
        of the two is an upper bound of their age, accurate to the time between two calls. A partition for which
        neither is known yet is absent.
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
        """Forget everything: the partitions may change."""
        self.applied_at.clear()
        self.caught_up_at.clear()
