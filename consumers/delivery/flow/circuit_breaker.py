"""
Decide when a tracker may be called, from how its last calls ended.

Pure: the clock and chance come in as values. While a tracker answers, runs are called as they come. After FAILURES
calls in a row failed, whichever runs they were for, the circuit opens: nobody is called until a pause is over, then one
call at a time is tried (the probe), and the first that ends well closes it. A tracker that says how long it wants to be
left alone (429 with Retry-After) opens it at once for so long.

One run that always fails must not keep the others out: while all failures were of one run, any other may be the probe
at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FAILURES = 5  # in a row until it opens
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 10.0
LONGEST_WAIT_S = 3_600.0  # whatever a tracker asks for: a wrong header must not stop it for a year

State = Literal["closed", "open", "probing"]


def retry_delay(failures: int, jitter: float) -> float:
    """Return the seconds to wait after so many failures in a row; `jitter` from 0 to 1 spreads runs over half of it."""
    return min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures, 20)) * (0.5 + jitter / 2)


@dataclass(slots=True)
class Circuit:
    """Whether one tracker may be called. Times are seconds of one clock."""

    state: State = "closed"
    failures: int = 0  # in a row
    retry_at: float = 0.0  # before it, an open circuit lets nobody through
    since: float = 0.0  # when it opened
    error: str = ""  # of the last failure while it is not closed
    _asked_until: float = 0.0  # the tracker wants to be left alone until then
    _failed: set[str] = field(default_factory=set)  # runs whose calls failed in a row; two are enough to know

    def admits(self, run_id: str, now: float) -> bool:
        """Tell whether this run may be called now."""
        if self.state == "closed":
            return True
        if self.state == "probing":
            return False
        return now >= self.retry_at or (len(self._failed) == 1 and run_id not in self._failed)

    def called(self) -> None:
        """A call begins: while it is open, that is the probe."""
        if self.state == "open":
            self.state = "probing"

    def left(self) -> None:
        """The call that began never reached the tracker: another run may be the probe."""
        if self.state == "probing":
            self.state = "open"

    def answered(self, now: float) -> bool:
        """
        Note that a call reached the tracker and came back; return whether that closed the circuit.

        One that was under way when the tracker asked to be left alone does not end that.
        """
        if self.state == "open" and now < self._asked_until:
            return False
        was_open = self.state != "closed"
        self.state, self.failures, self.error = "closed", 0, ""
        self._failed.clear()
        return was_open

    def failed(self, run_id: str, error: str, now: float, *, jitter: float, retry_after_s: float | None = None) -> None:
        """Note that a call did not; `retry_after_s` is what the tracker asked for."""
        self.failures += 1
        if len(self._failed) < 2:
            self._failed.add(run_id)
        if retry_after_s is not None:
            self._failed.add("")  # it speaks of all runs: no other is let through
            wait = min(max(retry_after_s, 0.0), LONGEST_WAIT_S)
            self._asked_until = max(self._asked_until, now + wait)
        elif self.state == "closed" and self.failures < FAILURES:
            return
        else:
            wait = retry_delay(max(0, self.failures - 1), jitter)
        if self.state == "closed":
            self.since = now
        # Calls that were under way when it opened must not shorten a wait that the tracker asked for.
        self.retry_at = max(self.retry_at, now + wait) if self.state == "open" else now + wait
        self.state, self.error = "open", error
