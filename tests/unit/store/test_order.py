"""Whether columns rise, against their definition."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from consumers.store.codec.order import FEW, falls, rises
from consumers.store.rows import CHUNK_POINTS

LARGEST = {"i": 2**31 - 1, "q": 2**63 - 1}


@given(
    st.sampled_from("iq"), st.integers(1, CHUNK_POINTS + 5), st.integers(0, 2**63 - 1), st.integers(0, 1_000),
    st.dictionaries(st.integers(0, CHUNK_POINTS), st.integers(0, 2**63 - 1), max_size=3),
)  # fmt: skip
def test_a_column_rises_if_it_is_sorted(kind: str, count: int, first: int, stride: int, others: dict[int, int]) -> None:
    column = [min(first + stride * at, 2**63 - 1) for at in range(count)]
    for at, number in others.items():
        column[at % count] = number
    column = [min(number, LARGEST[kind]) for number in column]
    is_rising, are_different = column == sorted(column), len(set(column)) == count

    assert rises(array(kind, column)) == is_rising
    assert rises(array(kind, column), strictly=True) == (is_rising and are_different)
    assert falls(array(kind, column[::-1])) == (is_rising and are_different)


def test_many_numbers_of_which_one_is_negative_are_sorted() -> None:
    assert not rises(array("q", range(-1, FEW)))
    assert rises(array("q", [-1, 0]))
    assert not rises(array("q", [0, 0]), strictly=True)
