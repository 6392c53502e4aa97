"""
Limit a replay to a number of points per second.

Pure: the clock is passed in. The number of points of a call is known only when it is done, so a call runs up a debt and
the next call waits until the debt is paid off.
"""

from __future__ import annotations

import math


class RateLimit:
    """A limit on points per second; no limit by default."""

    def __init__(self, points_per_s: float = math.inf) -> None:
        self._points_per_s = points_per_s
        self._free_at = -math.inf

    def delay(self, now: float) -> float:
        """Return for how many seconds no call may begin."""
        return max(0.0, self._free_at - now)

    def record(self, points: int, now: float) -> None:
        """Note that points were sent."""
        self._free_at = max(self._free_at, now) + points / self._points_per_s
