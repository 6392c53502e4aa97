"""
How often something may happen, by a key such as an address or a token. Memory is bounded.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_KEYS = 10_000


class RateLimit:
    """A bucket for each key, which `burst` fill and which gets `per_s` back a second (token bucket)."""

    def __init__(
        self,
        per_s: float,
        burst: float,
        *,
        max_keys: int = MAX_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_s, self._burst, self._max_keys, self._clock = per_s, burst, max_keys, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what was left, and when

    def take(self, key: str) -> int:
        """Count one; return 0, or after how many whole seconds there is room for it again."""
        left = self._now(key)
        if left < 1:
            return max(1, math.ceil((1 - left) / self._per_s))
        self._left[key] = (left - 1, self._clock())
        self._left.move_to_end(key)
        if len(self._left) > self._max_keys:
            self._left.popitem(last=False)  # the one that was used longest ago
        return 0

    def wait(self, key: str) -> int:
        """Return what `take` would, and count nothing."""
        left = self._now(key)
        return 0 if left >= 1 else max(1, math.ceil((1 - left) / self._per_s))

    def _now(self, key: str) -> float:
        left, at = self._left.get(key, (self._burst, self._clock()))
        return min(self._burst, left + (self._clock() - at) * self._per_s)
