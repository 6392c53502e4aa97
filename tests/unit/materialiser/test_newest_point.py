"""Which point of a series is its newest: the highest step, then time, then value, as in MLflow."""

from __future__ import annotations

from array import array
from itertools import permutations
from math import inf, nan
from uuid import UUID

import pytest

from consumers.materialiser.fold.chunks import append_points
from consumers.store.rows import Changes, SeriesRow
from schemas import events as ev

Sample = tuple[int, int, float]


def newest(records: list[list[Sample]]) -> Sample:
    """Return the newest point of a series with these records."""
    row, changes = SeriesRow(UUID(int=1), "run", "main", 1, "loss", {}), Changes()
    for points in records:
        steps, times, values = zip(*points, strict=True)
        columns = {"steps": array("q", steps), "times": array("q", times), "values": array("d", values)}
        append_points(row, ev.Series(name="loss", **columns), changes)
    return row.last_step, row.last_time, row.last_value


POINTS: list[Sample] = [(2, 5, 0.5), (2, 5, -1.0), (1, 9, 8.0), (2, 4, 7.0), (2, 5, 0.25)]


@pytest.mark.parametrize("points", list(permutations(POINTS)))
def test_it_is_the_same_in_any_order_and_any_records(points: list[Sample]) -> None:
    assert newest([list(points)]) == (2, 5, 0.5)
    assert newest([[one] for one in points]) == (2, 5, 0.5)
    assert newest([list(points[:2]), list(points[2:])]) == (2, 5, 0.5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([nan, -1.0], nan), ([-1.0, nan], nan), ([nan, 1.0], 1.0), ([1.0, nan], 1.0), ([nan, 0.0], nan),
        ([0.0, nan], 0.0), ([0.0, -0.0], 0.0), ([-0.0, 0.0], -0.0), ([-inf, 1e308], 1e308), ([inf, nan], inf),
    ],
)  # fmt: skip
def test_nan_counts_as_zero_and_the_first_of_equals_stays(values: list[float], expected: float) -> None:
    points = [(0, 0, value) for value in values]

    assert repr(newest([points])) == repr(newest([[one] for one in points])) == repr((0, 0, expected))
