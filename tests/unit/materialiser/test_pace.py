"""Few records are folded at once, many together."""

from __future__ import annotations

import pytest

from consumers.materialiser.backpressure import ReadAhead
from consumers.materialiser.pace import Arrivals, FullBatch


@pytest.mark.parametrize(
    ("size", "unapplied", "since_end", "is_full"),
    [
        (1, 1, 12.0, True),  # nothing else was read, and transactions took a quarter of the time
        (1, 1, 11.9, False),
        (1, 2, 90.0, False),  # another record was read
        (10, 99, 0.0, True),  # as large as a batch may be
    ],
)
def test_a_batch_is_full(size: int, unapplied: int, since_end: float, *, is_full: bool) -> None:
    now = [100.0]
    full = FullBatch(10, lambda: unapplied, lambda: now[0])
    full.begin()
    now[0] += 4.0
    full.end()
    now[0] += since_end

    assert (size >= full) is is_full


@pytest.mark.parametrize(
    ("series", "points", "most"),
    [
        (20_000, 100_000, 40),  # a few points of each of very many series
        (20_000, 900_000, 10),
        (9_000, 9_000, 10),
    ],
)
def test_batches_of_very_many_series_are_larger(series: int, points: int, most: int) -> None:
    full = FullBatch(10, lambda: 99, lambda: 0.0)
    full.end(series, points)

    assert not most - 1 >= full
    assert most >= full


def test_records_that_come_fast_are_many() -> None:
    now = [100.0]
    arrivals = Arrivals(lambda: now[0])
    seen = []
    for pause_s, records in ((1.0, 5), (0.01, 1), (0.01, 3), (0.001, 0), (0.02, 4), (0.001, 1)):
        now[0] += pause_s
        seen.append(arrivals.are_many(records))

    assert seen == [False, False, True, False, False, True]


def test_records_are_counted_until_they_are_applied() -> None:
    ahead = ReadAhead()
    for offset in range(3):
        ahead.add(0, offset, 10)
    ahead.release(0, 2)

    assert ahead.records == 1
    ahead.clear()
    assert ahead.records == 0
