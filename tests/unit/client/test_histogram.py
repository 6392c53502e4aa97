from __future__ import annotations

from typing import Any

import pytest

import gateway


@pytest.mark.parametrize("values", [[1, 2, 3, 4], [[1, 2], [3, 4]], (1.0, 2.0, 3.0, 4.0)])
def test_a_histogram_counts_every_value(values: Any) -> None:
    found = gateway.histogram(values, bins=2)

    assert (found.counts, found.edges) == ([2, 2], [1.0, 2.5, 4.0])


@pytest.mark.parametrize("values", [[], "text", None, [float("nan")], [3.0] * 5, [1e308, -1e308], 10])
def test_a_histogram_of_anything_is_a_histogram(values: Any) -> None:
    found = gateway.histogram(values, bins=4)

    assert len(found.edges) == len(found.counts) + 1
    assert found.edges == sorted(found.edges)


def test_numpy_and_lists_give_the_same_histogram() -> None:
    import numpy

    values = numpy.random.default_rng(7).normal(size=(20, 50))
    fast, slow = gateway.histogram(values), gateway.histogram(values.tolist())

    assert fast.counts == slow.counts
    assert fast.edges == pytest.approx(slow.edges)
