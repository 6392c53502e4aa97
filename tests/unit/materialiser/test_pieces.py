"""Corners of pieces of chunks against their definition, and as charts read them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from consumers.materialiser.fold.corners import kind_of
from consumers.materialiser.fold.pieces import extremes_of, order_of, pieces_of
from consumers.store.rows import PIECE_LEVELS

VALUES = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.0, 1.0, math.nan, math.inf, -math.inf]))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNT = sum(PIECE_LEVELS)
Point = tuple[int, int, float]


def points_of(values: st.SearchStrategy[float]) -> st.SearchStrategy[list[Point]]:
    several = st.lists(st.tuples(st.integers(-30, 30), st.integers(0, 9), values), min_size=16, max_size=90)
    return st.builds(
        lambda points, order: {"any": points, "rising": sorted(points), "falling": sorted(points, reverse=True)}[order],
        several.map(lambda points: [(step, 10 + time, value + 0.0) for step, time, value in points]),
        st.sampled_from(["any", "rising", "falling"]),
    ).map(list)


def pieces(points: Sequence[Point]) -> array[int]:
    steps, times, values = (list(column) for column in zip(*points, strict=True))
    order = order_of(steps, sorted(steps), array("q", times), times_rise=times == sorted(times))
    return pieces_of(values, order, is_finite=all(map(math.isfinite, values)))


@given(st.one_of(points_of(VALUES), points_of(FINITE)))
def test_each_piece_has_the_numbers_of_its_corners(points: list[Point]) -> None:
    found = pieces(points)
    order = sorted(range(len(points)), key=lambda at: (points[at][:2], at))
    is_finite = all(math.isfinite(value) for _, _, value in points)

    assert len(found) == (4 if is_finite else 7) * COUNT
    begin = 0
    for level in PIECE_LEVELS:
        for piece in range(level):
            places = order[piece * len(points) // level : (piece + 1) * len(points) // level]
            finite = [at for at in places if math.isfinite(points[at][2])]
            odd = [at for at in places if not math.isfinite(points[at][2])]
            low, high = (pick(finite, key=lambda at: points[at][2], default=places[0]) for pick in (min, max))
            at = begin + piece
            assert list(found[4 * at : 4 * at + 4]) == [one + 1 for one in (places[0], low, high, places[-1])]
            if not is_finite:
                kinds = 0
                for one in odd:
                    kinds |= kind_of(points[one][2])
                expected = [[*odd, places[0]][0] + 1, len(odd), kinds]
                assert list(found[4 * COUNT + at :: COUNT]) == expected
        begin += level


@given(points_of(FINITE))
def test_the_extremes_of_a_chunk_are_among_the_corners_of_its_pieces(points: list[Point]) -> None:
    values = [value for _, _, value in points]

    assert extremes_of(values, pieces(points)) == (min(values), max(values))
