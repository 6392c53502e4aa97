"""
Hold a replay to so many points a second.

Pure: the clock comes in as a value. How many points a call carries is known when it is done, so a call runs up a debt,
and the next one waits until it is paid off.
"""

from __future__ import annotations

import math


class Pace:
    """A bound on points a second; no bound by default."""

    def __init__(self, points_per_s: float = math.inf) -> None:
        self._points_per_s = points_per_s
        self._free_at = -math.inf

    def wait(self, now: float) -> float:
        """Return for how many seconds nothing may be begun."""
        return max(0.0, self._free_at - now)

    def spent(self, points: int, now: float) -> None:
        """Note that points went out."""
        self._free_at = max(self._free_at, now) + points / self._points_per_s
