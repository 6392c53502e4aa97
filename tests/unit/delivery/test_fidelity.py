"""Points as trackers hold them that merge equal ones or clip infinities."""

from __future__ import annotations

import math
import sys

from hypothesis import given
from hypothesis import strategies as st

from consumers.trackers.fidelity import expected_points
from consumers.trackers.protocol import Capabilities
from schemas.facts import Point

FEW = st.integers(0, 3)
POINTS = st.lists(st.builds(Point, st.sampled_from("ab"), FEW, FEW, st.sampled_from([0.0, -0.0, 1.0, math.nan])))


@given(POINTS)
def test_equal_points_are_one_in_whatever_order_they_come(points: list[Point]) -> None:
    held = list(expected_points(points, Capabilities(keeps_equal_points=False)))

    keys = [(one.series, one.step, one.time_ms, repr(one.value + 0.0)) for one in held]
    assert sorted(keys) == sorted({(one.series, one.step, one.time_ms, repr(one.value + 0.0)) for one in points})


def test_infinity_and_the_largest_number_become_one_point_where_both_are_clipped_and_merged() -> None:
    points = [Point("a", 0, 0, math.inf), Point("a", 0, 0, sys.float_info.max), Point("a", 1, 0, -math.inf)]

    held = list(expected_points(points, Capabilities(keeps_equal_points=False, keeps_infinity=False)))

    assert held == [Point("a", 0, 0, sys.float_info.max), Point("a", 1, 0, -sys.float_info.max)]
