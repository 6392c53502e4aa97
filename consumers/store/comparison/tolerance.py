"""
Compare the points of two series step by step, some at a time.

Pure. Of several points at one step the last one counts. NaN equals NaN, and an infinity itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from consumers.store.read.ordered_points import Point


class Tolerance(NamedTuple):
    """Two values are equal if they differ by no more than the larger of both."""

    absolute: float = 0.0
    relative: float = 0.0  # of the larger magnitude, as in math.isclose

    def holds(self, a: Point, b: Point) -> bool:
        """Return whether two points have equal values."""
        if a[3] or b[3]:
            return a[3] and b[3]
        x, y = a[2], b[2]
        return x == y or math.isclose(x, y, rel_tol=self.relative, abs_tol=self.absolute)


@dataclass
class Comparison:
    """What is known of two series so far."""

    compared: int = 0
    only_a: int = 0
    only_b: int = 0
    parted: tuple[Point, Point] | None = None  # their points at the first step at which they differ


def last_of_steps(points: Sequence[Point]) -> list[Point]:
    """Return the last point of each step of points in order."""
    return list({point[0]: point for point in points}.values())


def compare_steps(a: Sequence[Point], b: Sequence[Point], tolerance: Tolerance, known: Comparison) -> None:
    """Compare points, one a step and in order, up to the first difference, and count them in `known`."""
    at = of_b = 0
    while at < len(a) and of_b < len(b):
        step_a, step_b = a[at][0], b[of_b][0]
        if step_a < step_b:
            known.only_a, at = known.only_a + 1, at + 1
        elif step_b < step_a:
            known.only_b, of_b = known.only_b + 1, of_b + 1
        else:
            known.compared += 1
            if not tolerance.holds(a[at], b[of_b]):
                known.parted = a[at], b[of_b]
                return
            at, of_b = at + 1, of_b + 1
    known.only_a += len(a) - at
    known.only_b += len(b) - of_b
