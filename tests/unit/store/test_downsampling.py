"""A chart has fewer points and keeps every extreme."""

from __future__ import annotations

import math
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.store.read.downsampling import Sample, corners_of, group_points, shrink, shrink_columns, supersede

NUMBERS = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e308, -1e308]))


def exactly(samples: list[Sample] | None) -> list[tuple[int, int, str]] | None:
    """Return samples that compare by the bits of their values."""
    return None if samples is None else [(one.step, one.time, one.value.hex()) for one in samples]


def thinned_slowly(samples: list[Sample], buckets: int) -> list[Sample]:
    """Return first, lowest, highest, last and first non-finite point of each bucket, straight from their definition."""
    if len(samples) <= 4 * buckets:
        return samples
    kept, size = [], len(samples) / buckets
    for number in range(buckets):
        indexes = range(round(number * size), round((number + 1) * size))
        finite = [at for at in indexes if math.isfinite(samples[at].value)]
        wanted = {indexes[0], indexes[-1]}
        wanted |= {pick(finite, key=lambda at: samples[at].value) for pick in (min, max) if finite}
        wanted |= set([at for at in indexes if at not in finite][:1])
        kept += [samples[at] for at in sorted(wanted)]
    return kept


@given(st.lists(st.tuples(st.integers(0, 30), NUMBERS), max_size=80), st.integers(1, 8))
def test_a_chart_keeps_what_stands_for_each_bucket(points: list[tuple[int, float]], buckets: int) -> None:
    samples = [Sample(step, 7 * at, value) for at, (step, value) in enumerate(points)]
    ordered = sorted(samples, key=lambda sample: sample.step)

    assert exactly(shrink(supersede([samples]), buckets)) == exactly(thinned_slowly(ordered, buckets))


@given(st.lists(NUMBERS, max_size=80), st.integers(1, 8))
def test_columns_are_thinned_as_samples_are(values: list[float], buckets: int) -> None:
    steps, times = array("q", range(0, 3 * len(values), 3)), array("q", [7 * at for at in range(len(values))])
    samples = list(map(Sample, steps, times, values))

    found = shrink_columns(steps, times, array("d", values), buckets)

    assert exactly(found) == exactly(shrink(supersede([samples]), buckets))


@pytest.mark.parametrize("steps", [[1, 1], [2, 1], [1, 2, 2]])
def test_columns_whose_steps_do_not_rise_are_left_to_sorting(steps: list[int]) -> None:
    assert shrink_columns(steps, steps, [0.0] * len(steps), 10) is None


@given(st.integers(2_000, 3_500), st.data())
def test_one_step_out_of_order_among_thousands_is_seen(points: int, data: st.DataObject) -> None:
    steps = array("q", range(points))
    at = data.draw(st.integers(1, points - 1))
    steps[at] = data.draw(st.integers(0, at - 1))

    assert shrink_columns(steps, steps, array("d", bytes(8 * points)), 10) is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=200), st.integers(1, 9))
def test_no_extreme_is_lost(values: list[float], buckets: int) -> None:
    kept = [one.value for one in shrink_columns(range(len(values)), range(len(values)), values, buckets) or []]

    assert (min(kept), max(kept)) == (min(values), max(values))
    assert (kept[0], kept[-1]) == (values[0], values[-1])
    assert len(kept) <= 4 * buckets or len(kept) == len(values)


@given(st.integers(1, 10**12), st.integers(1, 10_000))
def test_groups_of_a_long_series_are_whole_chunks_and_no_more_than_buckets(points: int, buckets: int) -> None:
    size = group_points(points, buckets)

    assert size % 1_000 == 0
    assert -(-points // size) <= buckets


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [(1, 10, 0.5), (4, 40, -3.0), (6, 60, 9.0), (8, 80, 0.25)]),
        ({"first_value": None, "last_value": None}, [(4, 40, -3.0), (6, 60, 9.0)]),
        ({"lowest": None, "highest": None}, [(1, 10, 0.5), (8, 80, 0.25)]),
    ],
)
def test_a_group_gives_its_ends_and_its_extremes(changed: dict[str, Any], expected: list[Any]) -> None:
    group = {
        "min_step": 1, "max_step": 8, "min_time": 10, "max_time": 80, "first_value": 0.5, "last_value": 0.25,
        "lowest": [-3.0, 4.0, 40.0], "highest": [9.0, 6.0, 60.0],
    }  # fmt: skip

    assert corners_of([{**group, **changed}]) == expected
