"""
What of some points a tracker keeps, going by what it says it can.

Pure. The contract suite compares what it delivered with what is read back through it, and `gateway verify` what
PostgreSQL holds.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator

from consumers.trackers.protocol import Capabilities
from schemas.facts import Point

_FLOAT32 = struct.Struct("<f")
_FLOAT32_MAX = 3.4028234663852886e38


class Keeping:
    """One run in a tracker with these capabilities, given piece by piece in log order."""

    def __init__(self, can: Capabilities) -> None:
        self._can = can
        self._highest: dict[str, int] = {}
        self._seen: set[tuple[str, int, int, str]] = set()

    def of(self, points: Iterable[Point]) -> Iterator[Point]:
        """Yield the next points as the tracker holds them."""
        can, highest, seen = self._can, self._highest, self._seen
        for point in points:
            if not can.keeps_non_finite and not math.isfinite(point.value):
                continue
            if can.needs_step_order and point.step < highest.get(point.series, point.step):
                continue
            highest[point.series] = point.step
            value = point.value if can.keeps_float64 else _rounded(point.value)
            one = Point(point.series, point.step, point.time_ms if can.keeps_times else 0, value)
            key = (one.series, one.step, one.time_ms, repr(one.value))
            if not can.keeps_equal_points:
                if key in seen:
                    continue
                seen.add(key)
            yield one


def kept_points(points: Iterable[Point], can: Capabilities) -> Iterator[Point]:
    """Yield the points of one run, in log order, as a tracker with these capabilities holds them."""
    return Keeping(can).of(points)


def keeps_all_points(can: Capabilities) -> bool:
    """Tell whether every point comes back as it was."""
    kept = can.keeps_times and can.keeps_non_finite and can.keeps_float64 and can.keeps_equal_points
    return kept and not can.needs_step_order


def _rounded(value: float) -> float:
    if math.isfinite(value) and abs(value) > _FLOAT32_MAX:
        return math.copysign(math.inf, value)
    rounded: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    return rounded
