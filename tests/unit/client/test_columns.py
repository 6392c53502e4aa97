"""Columns of numbers as JSON: the same bytes with orjson and without it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.encoding import columns

FINITE = st.floats(allow_nan=False, allow_infinity=False)
SMALL = st.builds(lambda digits, exponent: digits * 10.0**exponent, st.integers(-999, 999), st.integers(-30, 3))


@given(st.lists(FINITE | SMALL, min_size=1))
def test_floats_are_written_as_repr_writes_them(numbers: list[float]) -> None:
    assert columns.floats(numbers) == repr(numbers).replace(" ", "").encode()


def test_powers_of_two_and_their_neighbours_are_too() -> None:
    powers = [math.ldexp(sign, exponent) for exponent in range(-1_074, 1_024) for sign in (1.0, -1.0)]
    numbers = [math.nextafter(power, to) for power in powers for to in (0.0, power, math.inf)]

    assert [columns.floats([one]) for one in numbers] == [f"[{one!r}]".encode() for one in numbers]


@pytest.mark.parametrize(
    "number",
    [0.0, -0.0, 10.00001, 100.00005, 1e-4, 1e-5, -2e-5, 9.99e-5, 1.5e-9, 1e-10, 1e15, 1e16, 1.5e16, 1e17, 1e22],
)
def test_numbers_where_the_form_changes_are_too(number: float) -> None:
    numbers = [number, 0.5, number]

    assert columns.floats(numbers) == repr(numbers).replace(" ", "").encode()


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(), min_size=1))
def test_integers_are_written_whole_however_large(numbers: list[int]) -> None:
    assert columns.integers(numbers) == repr(numbers).replace(" ", "").encode()


def test_without_orjson_the_bytes_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [0.5, 1.5e-5, 3e-7, 1e17, 1 / 3]
    fast = columns.floats(numbers), columns.integers([1, 2**60])

    monkeypatch.setattr(columns, "_dumps", None)

    assert (columns.floats(numbers), columns.integers([1, 2**60])) == fast
