from __future__ import annotations

from typing import Any

import pytest

import gateway
from gateway.client.encoding.histogram import is_sound


@pytest.mark.parametrize("values", [[1, 2, 3, 4], [[1, 2], [3, 4]], (1.0, 2.0, 3.0, 4.0)])
def test_a_histogram_counts_every_value(values: Any) -> None:
    found = gateway.histogram(values, bins=2)

    assert (found.counts, found.edges) == ([2, 2], [1.0, 2.5, 4.0])


@pytest.mark.parametrize("values", [[], "text", None, [float("nan")], [3.0] * 5, [1e308, -1e308], 10])
def test_a_histogram_of_anything_is_a_histogram(values: Any) -> None:
    found = gateway.histogram(values, bins=4)

    assert len(found.edges) == len(found.counts) + 1
    assert found.edges == sorted(found.edges)


def test_what_is_masked_is_not_counted() -> None:
    import numpy

    values = numpy.ma.masked_array([[1.0, 2.0], [3.0, 1e9]], mask=[[False, False], [False, True]])

    assert gateway.histogram(values, bins=2).counts == [1.0, 2.0]


@pytest.mark.parametrize("values", [[1.0, 1.0 + 2**-52], [0.0, 5e-324], [-1.7e308, 1.7e308]])
def test_an_array_of_almost_equal_or_huge_values_is_counted(values: list[float]) -> None:
    import numpy

    found = gateway.histogram(numpy.array(values))

    assert (len(found.counts), sum(found.counts), found.edges[0], found.edges[-1]) == (64, 2, *values)
    assert is_sound(found)


def test_numpy_and_lists_give_the_same_histogram() -> None:
    import numpy

    values = numpy.random.default_rng(7).normal(size=(20, 50))
    fast, slow = gateway.histogram(values), gateway.histogram(values.tolist())

    assert fast.counts == slow.counts
    assert fast.edges == pytest.approx(slow.edges)
