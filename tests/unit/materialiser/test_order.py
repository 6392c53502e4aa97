"""Whether columns rise, against their definition."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from consumers.materialiser.fold.order import FEW, rises
from consumers.store.rows import CHUNK_POINTS

TIMES = st.integers(0, 2**63 - 1)


@given(st.integers(1, CHUNK_POINTS + 5), TIMES, st.dictionaries(st.integers(0, CHUNK_POINTS), TIMES, max_size=3))
def test_a_column_rises_if_it_is_sorted(count: int, first: int, others: dict[int, int]) -> None:
    column = [min(first + 1_000 * at, 2**63 - 1) for at in range(count)]
    for at, time in others.items():
        column[at % count] = time

    assert rises(array("q", column)) == (column == sorted(column))


def test_many_numbers_of_which_one_is_negative_are_sorted() -> None:
    assert not rises(array("q", range(-1, FEW)))
    assert rises(array("q", [-1, 0]))
