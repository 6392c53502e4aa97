"""Each number of a producer is admitted once, in any order."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from consumers.log.dedup import EMPTY, Ledger, admit

SEQS = st.lists(st.integers(0, 40), max_size=120)


def admit_all(seqs: list[int], ledger: Ledger = EMPTY) -> tuple[Ledger, list[int]]:
    admitted = []
    for seq in seqs:
        ledger, new = admit(ledger, seq)
        if new:
            admitted.append(seq)
    return ledger, admitted


@given(SEQS)
def test_each_number_is_admitted_once_in_any_order(seqs: list[int]) -> None:
    _, admitted = admit_all(seqs)

    assert admitted == list(dict.fromkeys(seqs))


@given(SEQS)
def test_the_counts_add_up(seqs: list[int]) -> None:
    ledger, _ = admit_all(seqs)

    assert (ledger.received, ledger.refused) == (len(set(seqs)), len(seqs) - len(set(seqs)))
    assert ledger.lost == max(seqs, default=-1) + 1 - len(set(seqs))


@given(SEQS)
def test_missing_ranges_are_sorted_disjoint_and_below_next(seqs: list[int]) -> None:
    ledger, _ = admit_all(seqs)
    edges = [edge for pair in ledger.missing for edge in pair] + [ledger.next]

    assert edges == sorted(set(edges))


@given(SEQS, SEQS)
def test_a_ledger_that_went_through_json_decides_the_same(before: list[int], after: list[int]) -> None:
    ledger, _ = admit_all(before)
    reloaded = Ledger.from_json(json.loads(json.dumps(ledger.to_json())))

    assert reloaded == ledger
    assert admit_all(after, reloaded) == admit_all(after, ledger)


@given(st.integers(0, 1000))
def test_numbers_in_order_leave_no_trace(count: int) -> None:
    ledger, _ = admit_all(list(range(count)))

    assert ledger == Ledger(next=count)


def test_a_huge_number_costs_one_range() -> None:
    ledger, _ = admit(EMPTY, 10**18)

    assert ledger.missing == ((0, 10**18),)
