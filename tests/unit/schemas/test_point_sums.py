"""Points hashed in blocks have the same sum as points hashed one by one."""

from __future__ import annotations

import math
import random
import struct

from hypothesis import given
from hypothesis import strategies as st

from schemas.facts import Point, SeriesColumns, SeriesFacts, count_columns, count_points
from schemas.point_sums import _A, _B, _C, _START, MODULUS, sum_of_points

INT64 = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(st.tuples(INT64, INT64, st.floats()), max_size=20)
LOW64 = 2**64 - 1


def one_by_one(rows: list[tuple[int, int, float]]) -> int:
    """Hash points one by one, as the head of point_sums.py describes."""
    return sum(_hash(*row) for row in rows) % MODULUS


def _hash(step: int, time_ms: int, value: float) -> int:
    plain = math.nan if math.isnan(value) else value + 0.0
    x = (int.from_bytes(struct.pack("<d", plain), "little") << 64 | step & LOW64) ^ _START % MODULUS
    x = _fold(x * _A) ^ time_ms & LOW64
    return _fold(_fold(x * _B) * _C)


def _fold(x: int) -> int:
    x %= MODULUS
    return x ^ x >> 64


@given(ROWS)
def test_a_block_gives_what_single_points_give(rows: list[tuple[int, int, float]]) -> None:
    assert sum_of_points(*columns(rows)) == one_by_one(rows)


def test_several_blocks_give_what_single_points_give() -> None:
    dice = random.Random(1)
    rows = [
        (dice.getrandbits(63), -dice.getrandbits(63), dice.random()) for _ in range(2_500)
    ]  # the last block is partial

    assert sum_of_points(*columns(rows)) == one_by_one(rows)


def columns(rows: list[tuple[int, int, float]]) -> tuple[list[int], list[int], list[float]]:
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


@given(st.integers(0, 62), INT64, INT64, st.floats(allow_nan=False))
def test_every_bit_of_a_point_counts(bit: int, step: int, time_ms: int, value: float) -> None:
    other = struct.unpack("<d", struct.pack("<q", struct.unpack("<q", struct.pack("<d", value))[0] ^ 1 << bit))[0]

    whole = sum_of_points((step,), (time_ms,), (value,))
    changed = {
        sum_of_points((step ^ 1 << bit,), (time_ms,), (value,)),
        sum_of_points((step,), (time_ms ^ 1 << bit,), (value,)),
    }
    assert whole not in changed
    assert (whole == sum_of_points((step,), (time_ms,), (other,))) == (value == other)


def test_points_that_swap_a_value_a_time_or_a_step_are_told_from_those_that_did_not() -> None:
    sums = {
        sum_of_points((1, 2), (5, 6), (0.5, 0.25)),
        sum_of_points((2, 1), (5, 6), (0.5, 0.25)),
        sum_of_points((1, 2), (6, 5), (0.5, 0.25)),
        sum_of_points((1, 2), (5, 6), (0.25, 0.5)),
        sum_of_points((-1, -2), (5, 6), (0.25, 0.5)),
    }

    assert len(sums) == 5


@given(st.lists(st.builds(Point, st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 3), st.floats()), max_size=9))
def test_points_one_by_one_and_in_columns_are_the_same_facts(points: list[Point]) -> None:
    single: dict[str, SeriesFacts] = {}
    together: dict[str, SeriesFacts] = {}

    count_points(single, points)
    count_columns(together, (SeriesColumns(name, (step,), (time,), (value,)) for name, step, time, value in points))

    assert single == together
    assert {name: (one.first, one.last) for name, one in single.items()} == {
        name: (min(found), max(found))
        for name in single
        if (found := [(point.step, point.time_ms) for point in points if point.series == name])
    }


def test_points_of_very_many_series_are_all_counted() -> None:
    found: dict[str, SeriesFacts] = {}

    count_points(found, (Point(f"s{index % 100}", index, 0, 1.0) for index in range(70_001)))

    assert sum(one.points for one in found.values()) == 70_001
    assert found["s0"].last == (70_000, 0)
