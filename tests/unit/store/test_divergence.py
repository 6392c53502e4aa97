"""Where two series part, against a naive reading of the same points."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from consumers.store.comparison.divergence import compare_streams
from consumers.store.comparison.tolerance import Comparison, Tolerance, last_of_steps
from consumers.store.read.ordered_points import Point

VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.001, 1.1, math.nan, math.inf, -math.inf, 1e300])
SERIES = st.dictionaries(st.integers(0, 12), VALUES, max_size=12)
SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
BOUNDS = st.sampled_from([0.0, 0.01, 0.2])


def points_of(series: dict[int, float]) -> list[Point]:
    values = {step: (0.0, True) if math.isnan(value) else (value, False) for step, value in series.items()}
    return [(step, step * 10, *values[step]) for step in sorted(series)]


async def pieces(points: Sequence[Point], sizes: Sequence[int]) -> AsyncGenerator[list[Point]]:
    at = number = 0
    while at < len(points):
        size = sizes[number % len(sizes)]
        yield list(points[at : at + size])
        at, number = at + size, number + 1


@given(SERIES, SERIES, SIZES, SIZES, BOUNDS, BOUNDS)
def test_two_series_part_where_a_naive_reading_says(
    a: dict[int, float], b: dict[int, float], of_a: list[int], of_b: list[int], absolute: float, relative: float
) -> None:
    known = Comparison()
    streams = pieces(points_of(a), of_a), pieces(points_of(b), of_b)
    asyncio.run(compare_streams(*streams, Tolerance(absolute, relative), known))

    def differ(x: float, y: float) -> bool:
        if math.isnan(x) or math.isnan(y):
            return math.isnan(x) != math.isnan(y)
        if math.isinf(x) or math.isinf(y):
            return x != y
        return abs(x - y) > max(absolute, relative * max(abs(x), abs(y)))

    both = sorted(a.keys() & b.keys())
    parted = next((step for step in both if differ(a[step], b[step])), None)
    end = math.inf if parted is None else parted
    assert (known.parted[0][0] if known.parted else None) == parted
    assert known.compared == len([step for step in both if step <= end])
    if parted is None:
        assert (known.only_a, known.only_b) == (len(a.keys() - b.keys()), len(b.keys() - a.keys()))


def test_of_several_points_at_a_step_the_last_counts() -> None:
    assert last_of_steps([(1, 1, 0.5, False), (1, 2, 0.7, False), (2, 0, 1.0, False)]) == [
        (1, 2, 0.7, False),
        (2, 0, 1.0, False),
    ]
