"""Samples of points, groups of chunks, and tokens of pages."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.store.read.ordered_points import Chunk, apart
from consumers.store.read.points import PointsPosition, sampled
from consumers.store.search.page_token import TokenError

BOUND = st.tuples(st.integers(0, 20), st.integers(0, 3))


def ntile(total: int, count: int) -> list[int]:
    """What NTILE of SQL gives: the first row of each of `count` buckets, and the last row of all."""
    buckets: list[list[int]] = [[] for _ in range(count)]
    sizes = [total // count + (number < total % count) for number in range(count)]
    rows = iter(range(total))
    for bucket, size in zip(buckets, sizes, strict=True):
        bucket += [next(rows) for _ in range(size)]
    found = [bucket[0] for bucket in buckets if bucket]
    if found and found[-1] != total - 1:
        found[-1 if len(found) >= count else len(found) :] = [total - 1]
    return found


@given(st.integers(0, 300), st.integers(1, 40))
def test_a_sample_has_the_first_row_of_each_bucket_and_the_last(total: int, count: int) -> None:
    assert sampled(total, count) == ntile(total, count)


@given(st.lists(st.tuples(BOUND, BOUND).map(sorted), max_size=8))
def test_no_point_of_a_group_of_chunks_lies_among_those_of_another(bounds: list[list[tuple[int, int]]]) -> None:
    chunks = [Chunk(low, high, {}, number, 1, None, True) for number, (low, high) in enumerate(sorted(bounds))]

    groups = apart(chunks)

    assert [one for group in groups for one in group] == chunks
    for before, after in pairwise(groups):
        assert max(one.high for one in before) < min(one.low for one in after)


@pytest.mark.parametrize("point", [(-5, 2**60, -0.0, True), (7, 1, math.inf, False), (0, 0, 5e-324, False)])
def test_a_token_holds_a_point_exactly(point: tuple[int, int, float, bool]) -> None:
    position = PointsPosition("a/ü", point)

    assert PointsPosition.from_token(position.token) == position


@pytest.mark.parametrize("token", ["", "x", "W10=", "eyJvZmZzZXQiOiA1fQ==", "WyIiLDEsMiwieCIsMF0="])
def test_another_token_is_refused(token: str) -> None:
    with pytest.raises(TokenError):
        PointsPosition.from_token(token)
