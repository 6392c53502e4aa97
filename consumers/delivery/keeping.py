"""
What of some points a tracker keeps, going by what it says it can.

Pure. The contract suite compares what it delivered with what is read back through it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator

from consumers.delivery.tracker import Capabilities
from schemas.facts import Point

_FLOAT32 = struct.Struct("<f")
_FLOAT32_MAX = 3.4028234663852886e38


def kept_points(points: Iterable[Point], can: Capabilities) -> Iterator[Point]:
    """Yield the points of one run, in log order, as a tracker with these capabilities holds them."""
    highest: dict[str, int] = {}
    seen: set[tuple[str, int, int, str]] = set()
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


def _rounded(value: float) -> float:
    if math.isfinite(value) and abs(value) > _FLOAT32_MAX:
        return math.copysign(math.inf, value)
    rounded: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    return rounded
