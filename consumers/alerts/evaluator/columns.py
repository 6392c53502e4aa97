"""
Points of one series in one event, with what most conditions ask first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

from schemas.columns import FloatArray, IntArray


class Columns:
    """Steps, times (µs) and values of the same points, in the order of the log."""

    def __init__(self, steps: IntArray, times: IntArray, values: FloatArray) -> None:
        self.steps, self.times, self.values = steps, times, values

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def is_finite(self) -> bool:
        """Whether every value is finite."""
        return math.isfinite(sum(self.values)) or all(map(math.isfinite, self.values))

    @cached_property
    def finite(self) -> Sequence[float]:
        """The finite values."""
        return self.values if self.is_finite else [value for value in self.values if math.isfinite(value)]

    @cached_property
    def low(self) -> float:
        """The lowest value that is a number; infinity if none is."""
        numbers = self.values if self.is_finite else [value for value in self.values if not math.isnan(value)]
        return min(numbers, default=math.inf)

    @cached_property
    def high(self) -> float:
        """The highest value that is a number; minus infinity if none is."""
        numbers = self.values if self.is_finite else [value for value in self.values if not math.isnan(value)]
        return max(numbers, default=-math.inf)
