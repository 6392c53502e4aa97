"""Charts: corners of chunks, buckets of summaries, and which rows are read, against their definitions."""

from __future__ import annotations

import math
import statistics
from array import array
from fractions import Fraction
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from consumers.materialiser.fold.corners import corners_of
from consumers.store.read.charts.groups import StepBuckets, statistics_of, t975
from consumers.store.read.charts.levels import level_for, read_chunks, row_chunks, rows_for
from consumers.store.read.charts.summaries import Sample, Summaries, Window, buckets_of
from consumers.store.read.charts.superseded import supersede
from consumers.store.rows import CHUNK_POINTS, LEVEL_FACTOR, ChunkRow, FullGroup
from consumers.store.write.chunk_groups import full_above

NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e308]))
POINTS = st.lists(st.builds(Sample, st.integers(-9, 9), st.integers(0, 9), NUMBERS), min_size=1, max_size=40)


def chunk(points: list[Sample], first_index: int = 0) -> ChunkRow:
    steps, times, values = (list(column) for column in zip(*points, strict=True))
    finite = [value for value in values if math.isfinite(value)]
    row = ChunkRow(
        UUID(int=1), first_index, 202601, len(points), min(steps), max(steps), min(times), max(times), values[0],
        values[-1], min(finite) + 0.0 if finite else None, max(finite) + 0.0 if finite else None,
        len(values) - len(finite), array("q", steps), array("q", times), array("d", values),
    )  # fmt: skip
    repeats = steps.count(min(steps)) > 1 or steps.count(max(steps)) > 1
    row.corners, row.ends = corners_of(row, ends_repeat=repeats)
    return row


def summaries(chunks: list[list[Sample]]) -> Summaries:
    rows = [chunk(points, CHUNK_POINTS * at) for at, points in enumerate(chunks)]
    return read_chunks([{name: getattr(row, name) for name in ChunkRow.__dataclass_fields__} for row in rows])


@given(st.lists(POINTS, min_size=1, max_size=12), st.integers(1, 14))
def test_buckets_of_chunks_have_the_corners_of_their_points(chunks: list[list[Sample]], buckets: int) -> None:
    order = sorted(range(len(chunks)), key=lambda at: (min(chunks[at])[:2], at))
    found = buckets_of(summaries(chunks), buckets)

    assert len(found) <= buckets
    assert sum(bucket.points for bucket in found) == sum(map(len, chunks))
    for bucket in found:
        points: list[Sample] = []
        while len(points) < bucket.points:
            points += chunks[order.pop(0)]
        finite = [point.value for point in points if math.isfinite(point.value)]
        odd = [point for point in points if not math.isfinite(point.value)]
        assert bucket.first[:2] == min(point[:2] for point in points)
        assert bucket.last[:2] == max(point[:2] for point in points)
        assert (bucket.low is None, bucket.high is None) == (not finite, not finite)
        if bucket.low is not None and bucket.high is not None:
            assert (bucket.low.value, bucket.high.value) == (min(finite), max(finite))
            assert {bucket.low, bucket.high} <= set(points)
        assert (0 if bucket.odd is None else bucket.odd.points) == len(odd)
        assert bucket.odd is None or bucket.odd[:2] in {point[:2] for point in odd}


@given(st.integers(0, 10**7), st.integers(-1, 8))
def test_the_rows_that_are_read_have_every_full_chunk_once(chunks: int, level: int) -> None:
    rows, begin = rows_for(chunks, level)
    ends = [0, *(row.end * row_chunks(row.level) for row in rows)]

    assert [row.first * row_chunks(row.level) for row in rows] == ends[:-1]
    assert (ends[-1], begin + 64 > chunks or level < 0) == (begin, True)
    assert all(row.end - row.first < LEVEL_FACTOR or row.level == rows[0].level for row in rows)


@given(st.integers(0, 10**12), st.integers(1, 10_000))
def test_a_level_has_a_summary_for_each_bucket_and_not_many_more(points: int, buckets: int) -> None:
    level = level_for(points, buckets)

    assert level == -1 or points >= CHUNK_POINTS * LEVEL_FACTOR**level * buckets
    assert points < CHUNK_POINTS * LEVEL_FACTOR ** (level + 1) * buckets


@given(st.integers(1, 2_000))
def test_each_row_of_a_level_is_written_once_with_its_last_chunk(groups: int) -> None:
    written = []
    for number in range(groups):
        level, full = 0, [FullGroup(UUID(int=1), number, 202601)]
        while full := full_above(full):
            level += 1
            written += [(level, one.number) for one in full]

    highest = max((level for level, _ in written), default=0)
    assert sorted(written) == [
        (level, number) for level in range(1, highest + 1) for number in range(groups // LEVEL_FACTOR**level)
    ]


def test_a_later_attempt_replaces_what_it_repeats() -> None:
    first = [Sample(step, 0, 1.0) for step in range(5)]
    second = [Sample(step, 1, 2.0) for step in (3, 2)]

    assert [(one.step, one.value) for one in supersede([first, second, []])] == [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0)]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_a_window_before_a_step_has_lower_steps_only_and_bounds_that_postgresql_takes(step: int, limit: int) -> None:
    for before in (limit, -(2**63)):
        window = Window().before(before)
        bounds = Window(step, step, 0, 0)
        assert window.holds(bounds) == window.meets(bounds) == (step < before)
        assert all(-(2**63) <= one < 2**63 for one in window)


FINITE = st.floats(-1e300, 1e300)


def test_a_median_of_the_largest_numbers_is_one_of_them() -> None:
    assert [statistics_of([one] * 2).median for one in (1.7e308, -1.7e308, 5e-324)] == [1.7e308, -1.7e308, 5e-324]


@given(st.lists(FINITE, min_size=1, max_size=12))
def test_statistics_are_those_of_the_standard_library(values: list[float]) -> None:
    found = statistics_of(values)

    assert (found.runs, found.min, found.max) == (len(values), min(values), max(values))
    assert found.median == statistics.median(values)
    size = max(map(abs, values)) or 1.0
    exact = [Fraction(value) for value in values]
    assert abs(found.mean - float(sum(exact) / len(exact))) <= 1e-9 * size
    if len(values) > 1 and found.std is not None:
        variance = sum((value - sum(exact) / len(exact)) ** 2 for value in exact) / (len(exact) - 1)
        assert abs(Fraction(found.std) - Fraction(math.isqrt(int(variance * 10**20))) / 10**10) <= 1e-9 * size + 1e-9


def test_quantiles_of_student_fall_to_that_of_the_normal_distribution() -> None:
    assert [round(t975(freedom), 4) for freedom in (1, 4, 30, 31, 60, 120)] == [
        12.7062, 2.7764, 2.0423, 2.0395, 2.0003, 1.9799,
    ]  # fmt: skip


@given(st.dictionaries(st.integers(-50, 50), NUMBERS, max_size=30), st.integers(1, 40))
def test_a_run_counts_in_a_bucket_with_its_last_finite_value(points: dict[int, float], buckets: int) -> None:
    made = StepBuckets(-50, 50, buckets)
    made.add(Sample(step, 0, value) for step, value in sorted(points.items()))
    width = -(-101 // buckets)
    expected = {(step + 50) // width: (step, v) for step, v in sorted(points.items()) if math.isfinite(v)}

    assert [(step, one.mean) for step, one in made.statistics()] == [expected[at] for at in sorted(expected)]
