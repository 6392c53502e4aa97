"""The checksum detects missing, duplicate and changed points, and ignores their order."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Facts, Point
from schemas.names import series_name

POINTS = st.lists(
    st.builds(Point, st.sampled_from(["loss", "acc"]), st.integers(0, 9), st.integers(0, 9), st.floats()), max_size=20
)


def facts(points: list[Point]) -> Facts:
    found = Facts()
    found.add_run("r1", points, params=2)
    return found


@given(POINTS, st.randoms())
def test_order_does_not_count(points: list[Point], dice: object) -> None:
    shuffled = sorted(points, key=lambda _: dice.random())  # type: ignore[attr-defined]  # hypothesis' Random

    assert facts(points) == facts(shuffled)


@given(POINTS, st.integers(0, 19))
def test_a_point_more_or_less_counts(points: list[Point], index: int) -> None:
    if not points:
        points = [Point("loss", 0, 0, 0.0)]
    one = points[index % len(points)]

    assert len({facts(points).checksum, facts([*points, one]).checksum, facts([*points, one, one]).checksum}) == 3


def test_every_nan_is_one_nan_and_both_zeros_are_one_zero() -> None:
    nans = {facts([Point("loss", 0, 0, value)]).checksum for value in (math.nan, -math.nan, float("nan"))}
    zeros = {facts([Point("loss", 0, 0, value)]).checksum for value in (0.0, -0.0)}

    assert (len(nans), len(zeros)) == (1, 1)


def test_series_are_written_with_step_and_sorted_labels() -> None:
    assert series_name("loss") == "loss"
    assert series_name("loss", {"subset": "a", "rank": "3"}, "validate") == "validate/loss{rank=3,subset=a}"
