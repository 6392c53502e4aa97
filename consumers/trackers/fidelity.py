"""
Predict which points a tracker returns, given the capabilities it declares.

Pure. The contract suite compares what it delivered with what it reads back through this model; `gateway verify`
compares what PostgreSQL holds.
"""

from __future__ import annotations

import math
import struct
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
        self._seen: set[tuple[str, int, int, str]] = set()

    def apply(self, points: Iterable[Point]) -> Iterator[Point]:
        """Yield the next points as the tracker holds them."""
        can, highest, seen = self._capabilities, self._highest, self._seen
        for point in points:
            if not can.keeps_non_finite and not math.isfinite(point.value):
                continue
            if can.needs_step_order and point.step < highest.get(point.series, point.step):
                continue
            highest[point.series] = point.step
            value = point.value if can.keeps_float64 else _rounded(point.value)
            held = Point(point.series, point.step, point.time_ms if can.keeps_times else 0, value)
            key = (held.series, held.step, held.time_ms, repr(held.value))
            if not can.keeps_equal_points:
                if key in seen:
                    continue
                seen.add(key)
            yield held


def expected_points(points: Iterable[Point], capabilities: Capabilities) -> Iterator[Point]:
    """Yield the points of one run, in log order, as a tracker with these capabilities holds them."""
    return Fidelity(capabilities).apply(points)


def keeps_all_points(capabilities: Capabilities) -> bool:
    """Return True if a tracker with these capabilities returns every point unchanged."""
    can = capabilities
    kept = can.keeps_times and can.keeps_non_finite and can.keeps_float64 and can.keeps_equal_points
    return kept and not can.needs_step_order


def _rounded(value: float) -> float:
    if math.isfinite(value) and abs(value) > _FLOAT32_MAX:
        return math.copysign(math.inf, value)
    rounded: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    return rounded
