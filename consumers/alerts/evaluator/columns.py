"""
Points of one series in one event, with what most conditions ask first.
"""

from __future__ import annotations

import math

from schemas.columns import FloatArray, IntArray


class Columns:
    """
    Steps, times (µs) and values of the same points, in the order of the log.

    `is_finite`: whether every value is. `low`, `high`: the lowest and the highest value that is a number; infinity and
    minus infinity if none is.
    """

    __slots__ = ("high", "is_finite", "low", "steps", "times", "values")

    def __init__(self, steps: IntArray, times: IntArray, values: FloatArray) -> None:
        self.steps, self.times = steps, times
        self.values: list[float] = values.tolist()
        # A sum is finite only if every value is; one of finite values may overflow.
        self.is_finite = math.isfinite(sum(self.values)) or all(map(math.isfinite, self.values))
        numbers = self.values if self.is_finite else [value for value in self.values if not math.isnan(value)]
        self.low, self.high = min(numbers, default=math.inf), max(numbers, default=-math.inf)

    def __len__(self) -> int:
        return len(self.values)
