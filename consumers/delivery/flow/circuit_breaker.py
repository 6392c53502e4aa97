"""
Decide when a tracker may be called, from the results of its last calls.

Pure: clock and jitter are passed in. While a tracker answers, runs are called as their records arrive. After FAILURES
consecutive failed calls, of any runs, the circuit opens: no call is made until a pause is over, then one call at a time
(the probe), and the first that succeeds closes the circuit. A tracker that states how long to wait (429 with
Retry-After) opens it at once, for that long.

A single run that always fails must not block the others: while all failures were of one run, any other run may be the
probe immediately.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.store.delivery.orders import CircuitState

FAILURES = 5  # consecutive, until it opens
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 10.0
LONGEST_WAIT_S = 3_600.0  # limit for what a tracker asks for: a wrong header must not stop deliveries for a year


def retry_delay(failures: int, jitter: float) -> float:
    """Return the seconds to wait after this many consecutive failures; `jitter` (0 to 1) spreads runs over half."""
    return min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures, 20)) * (0.5 + jitter / 2)


@dataclass(slots=True)
class CircuitBreaker:
    """Whether one tracker may be called. Times are seconds of one clock."""

    state: CircuitState = "closed"
    failures: int = 0  # consecutive
    retry_at: float = 0.0  # before it, an open circuit admits no call
    since: float = 0.0  # when it opened
    error: str = ""  # of the last failure, while it is not closed
    _requested_until: float = 0.0  # the tracker asked not to be called before this
    _failed: set[str] = field(default_factory=set)  # runs whose calls failed in a row; two are enough to know

    def admits(self, run_id: str, now: float) -> bool:
        """Tell whether this run may be called now."""
        if self.state == "closed":
            return True
        if self.state == "probing":
            return False
        return now >= self.retry_at or (len(self._failed) == 1 and run_id not in self._failed)

    def start_call(self) -> None:
        """Note that a call begins: while the circuit is open, it is the probe."""
        if self.state == "open":
            self.state = "probing"

    def cancel_call(self) -> None:
        """Note that the call that began never reached the tracker: another run may be the probe."""
        if self.state == "probing":
            self.state = "open"

    def record_answer(self, now: float) -> bool:
        """
        Note that a call reached the tracker and returned; return whether that closed the circuit.

        A call that was under way when the tracker asked for a pause does not end that pause.
        """
        if self.state == "open" and now < self._requested_until:
            return False
        was_open = self.state != "closed"
        self.state, self.failures, self.error = "closed", 0, ""
        self._failed.clear()
        return was_open

    def record_failure(
        self, run_id: str, error: str, now: float, *, jitter: float, retry_after_s: float | None = None
    ) -> None:
        """Note that a call failed; `retry_after_s` is the pause that the tracker asked for."""
        self.failures += 1
        if len(self._failed) < 2:
            self._failed.add(run_id)
        if retry_after_s is not None:
            self._failed.add("")  # it applies to all runs: no other run may be the probe earlier
            wait = min(max(retry_after_s, 0.0), LONGEST_WAIT_S)
            self._requested_until = max(self._requested_until, now + wait)
        elif self.state == "closed" and self.failures < FAILURES:
            return
        else:
            wait = retry_delay(max(0, self.failures - 1), jitter)
        if self.state == "closed":
            self.since = now
        # Calls that were under way when it opened must not shorten a pause that the tracker asked for.
        self.retry_at = max(self.retry_at, now + wait) if self.state == "open" else now + wait
        self.state, self.error = "open", error
