"""
Predict which points a tracker returns, given the capabilities it declares.

Pure. The contract suite compares what it delivered with what it reads back through this model; `gateway verify`
compares what PostgreSQL holds.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator

from consumers.trackers.protocol import Capabilities
from schemas.facts import Point

_FLOAT32 = struct.Struct("<f")
_FLOAT32_MAX = 3.4028234663852886e38


class Fidelity:
    """One run in a tracker with these capabilities; call `apply` with its points part by part, in log order."""

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._highest: dict[str, int] = {}
        self._distinct: dict[str, _DistinctPoints] = {}  # by series

    def apply(self, points: Iterable[Point]) -> Iterator[Point]:
        """Yield the next points as the tracker holds them."""
        can, highest, distinct = self._capabilities, self._highest, self._distinct
        for point in points:
            if not can.keeps_non_finite and not math.isfinite(point.value):
                continue
            if can.needs_step_order and point.step < highest.get(point.series, point.step):
                continue
            highest[point.series] = point.step
            value = point.value if can.keeps_float64 else _rounded(point.value)
            if not can.keeps_infinity and math.isinf(value):
                value = math.copysign(sys.float_info.max, value)
            held = Point(point.series, point.step, point.time_ms if can.keeps_times else 0, value)
            if not can.keeps_equal_points and not distinct.setdefault(held.series, _DistinctPoints()).add(held):
                continue
            yield held


def expected_points(points: Iterable[Point], capabilities: Capabilities) -> Iterator[Point]:
    """Yield the points of one run, in log order, as a tracker with these capabilities holds them."""
    return Fidelity(capabilities).apply(points)


def keeps_all_points(capabilities: Capabilities) -> bool:
    """Return True if a tracker with these capabilities returns every point unchanged."""
    can = capabilities
    values = can.keeps_non_finite and can.keeps_infinity and can.keeps_float64
    return values and can.keeps_times and can.keeps_equal_points and not can.needs_step_order


class _DistinctPoints:
    """The points of one series without their repetitions: 8 bytes a point, as long as times do not decrease."""

    def __init__(self) -> None:
        self._newest_ms = -(2**63)
        self._at_newest: set[int] = set()
        self._older: array[int] = array("q")
        self._lookup: set[int] | None = None  # of `_older`: made when a point is older than one before it

    def add(self, point: Point) -> bool:
        """Add a point; return False if an equal one was added before."""
        # All NaN are equal, and so are both zeros, as in schemas/facts.py. A collision of two of ten million points
        # has a probability of 3e-6.
        key = hash((point.step, point.time_ms, repr(point.value + 0.0)))
        if point.time_ms > self._newest_ms:
            self._older.extend(self._at_newest)
            if self._lookup is not None:
                self._lookup |= self._at_newest
            self._newest_ms, self._at_newest = point.time_ms, {key}
            return True
        if point.time_ms < self._newest_ms and self._lookup is None:
            self._lookup = set(self._older)
        seen = self._at_newest if point.time_ms == self._newest_ms or self._lookup is None else self._lookup
        if key in seen:
            return False
        seen.add(key)
        return True


def _rounded(value: float) -> float:
    if math.isfinite(value) and abs(value) > _FLOAT32_MAX:
        return math.copysign(math.inf, value)
    rounded: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    return rounded
