"""Points that are read for a chart: their order and their buckets, against the definition on all points."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from consumers.store.read.charts.chart import Attempt, short_chart
from consumers.store.read.charts.parts import part_of
from consumers.store.read.charts.points import OrderedPoints
from consumers.store.read.charts.summaries import Sample, Window
from consumers.store.rows import ChunkRow
from tests.support.packed_chunks import packed

BEGAN = 1_700_000_000_000_000  # µs
VALUES = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 1e308]))
STEPS: dict[str, Callable[[int, int], int]] = {  # of the point with each number in the log
    "rising": lambda at, count: 3 * at,
    "falling": lambda at, count: 5_000 - at,
    "interleaved": lambda at, count: at // 4 + at % 4 * 3,
    "equal": lambda at, count: at // 7,
    "one": lambda at, count: 9,
    "back and forth": lambda at, count: abs(count // 2 - at),
    "negative": lambda at, count: at - 40,
}
TIMES: dict[str, Callable[[int], int]] = {
    "rising": lambda at: BEGAN + 10 * at,
    "falling": lambda at: BEGAN - 10 * at,
    "equal": lambda at: BEGAN,
    "far": lambda at: BEGAN + at % 3 * 2**40,
}
Chunk = list[Sample]


@st.composite
def logs(draw: st.DrawFn) -> list[Chunk]:
    """Chunks of a series, of any sizes, in the order of the log."""
    sizes = draw(st.lists(st.one_of(st.integers(1, 40), st.integers(400, 450)), min_size=1, max_size=5))
    count = sum(sizes)
    steps, times = STEPS[draw(st.sampled_from(sorted(STEPS)))], TIMES[draw(st.sampled_from(sorted(TIMES)))]
    few = draw(st.lists(VALUES, min_size=1, max_size=9))
    points = [Sample(steps(at, count), times(at), few[at * at % len(few)] + at % 2) for at in range(count)]
    for at, step in draw(st.dictionaries(st.integers(0, count - 1), st.integers(-9, 600), max_size=2)).items():
        points[at] = points[at]._replace(step=step)
    ends = [sum(sizes[:number]) for number in range(len(sizes) + 1)]
    return [points[first:end] for first, end in pairwise(ends)]


def rows(chunks: Sequence[Chunk]) -> list[dict[str, Any]]:
    found = []
    for number, points in enumerate(chunks):
        steps, times, values = zip(*points, strict=True)
        found.append(packed(ChunkRow(
            UUID(int=1), 1_000 * number, 202601, len(points), min(steps), max(steps), min(times), max(times),
            values[0], values[-1], None, None, 0, array("q", steps), array("q", times), array("d", values),
        )))  # fmt: skip
    return found


def exactly(points: Sequence[Sample]) -> list[tuple[int, int, str]]:
    return [(step, time, float(value).hex()) for step, time, value in points]


def in_order(chunks: Sequence[Chunk], window: Window) -> list[Sample]:
    points = [point for chunk in chunks for point in chunk if window.holds(Window(*point[:1] * 2, *point[1:2] * 2))]
    return sorted(points, key=lambda point: point[:2])  # stable: equal ones in the order of the log


def corners(points: Sequence[Sample]) -> list[Sample]:
    finite = [at for at, point in enumerate(points) if math.isfinite(point.value)]
    places = {0, len(points) - 1}
    places |= {pick(finite, key=lambda at: points[at].value) for pick in (min, max) if finite}
    return [points[at] for at in sorted(places)]


WINDOWS = st.one_of(
    st.just(Window()),
    st.builds(Window, st.integers(-9, 300), st.integers(0, 900)),
    st.builds(
        lambda first, size: Window(min_time=BEGAN + first, max_time=BEGAN + first + size),
        st.integers(-2_000, 2_000),
        st.integers(0, 4_000),
    ),
)


@given(logs(), WINDOWS)
def test_points_have_the_order_of_step_then_time_then_log(chunks: list[Chunk], window: Window) -> None:
    points = OrderedPoints([part_of(row, window) for row in rows(chunks)])
    expected = in_order(chunks, window)

    assert exactly(points.samples()) == exactly(expected)
    some = range(0, len(expected), 3)
    assert exactly(points.samples(some)) == exactly([expected[at] for at in some])


@given(logs(), WINDOWS, st.integers(1, 60))
def test_a_chart_has_the_corners_of_equal_pieces_of_all_points(
    chunks: list[Chunk], window: Window, buckets: int
) -> None:
    chart = short_chart([(Attempt(None, window), rows(chunks))], buckets)
    expected = in_order(chunks, window)

    assert chart.in_range == len(expected)
    odd = [point for point in expected if not math.isfinite(point.value)]
    assert sum(one.points for one in chart.odd) == len(odd)
    if len(expected) <= 4 * buckets:
        assert exactly(chart.samples) == exactly(expected)
        return
    bounds = [number * len(expected) // buckets for number in range(buckets + 1)]
    pieces = [expected[first:end] for first, end in pairwise(bounds)]
    assert list(chart.sizes) == list(map(len, pieces))
    found = [point for piece in pieces for point in corners(piece)]
    assert exactly(chart.samples) == exactly(found)


@given(st.lists(logs(), min_size=2, max_size=3), st.integers(0, 700))
def test_attempts_are_one_chart_of_what_is_wanted_of_each(attempts: list[list[Chunk]], limit: int) -> None:
    windows = [Window().before(limit), *[Window().since(limit)] * (len(attempts) - 1)]
    read = [(Attempt(None, window), rows(chunks)) for window, chunks in zip(windows, attempts, strict=True)]
    expected = [in_order(chunks, window) for window, chunks in zip(windows, attempts, strict=True)]
    every = sorted([point for some in expected for point in some], key=lambda point: point[:2])

    assert exactly(short_chart(read, 10_000).samples) == exactly(every)
