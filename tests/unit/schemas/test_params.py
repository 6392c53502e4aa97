"""Of several values of a parameter, the same one counts however the log is cut, in SQL and in Python."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.params import MAX_KEPT, admit_params, edit_attempts

NAMES = st.sampled_from("abc")
RECORDS = st.lists(st.tuples(st.integers(1, 3), st.dictionaries(NAMES, st.integers(0, 3), min_size=1)), max_size=12)


def shown(records: list[tuple[int, dict[str, int]]]) -> dict[str, int]:
    """Return what someone sees who lets the last admitted value win."""
    found: dict[str, int] = {}
    known: Mapping[str, int] = {}
    for attempt, values in records:
        kept, known = admit_params(values, attempt, known)
        found |= kept
    return found


@given(RECORDS)
def test_the_last_value_of_the_highest_attempt_counts(records: list[tuple[int, dict[str, int]]]) -> None:
    written = [
        (name, attempt, place, value) for place, (attempt, of) in enumerate(records) for name, value in of.items()
    ]

    assert shown(records) == {name: value for name, _, _, value in sorted(written)}


@pytest.mark.parametrize(
    ("attempts", "values", "expected"),
    [([1, 1, 1], [1, 2, 1], 1), ([1, 2, 3], [1, 2, 1], 1), ([2, 1], [2, 1], 2), ([1, 2, 1, 1], [1, 2, 3, 4], 2)],
)
def test_a_value_that_returns_and_one_that_is_late(attempts: list[int], values: list[int], expected: int) -> None:
    records = [(attempt, {"lr": value}) for attempt, value in zip(attempts, values, strict=True)]

    assert shown(records) == {"lr": expected}


def test_a_run_of_one_attempt_needs_no_state() -> None:
    assert admit_params({"a": 1, "b": 2}, 1, {}) == ({"a": 1, "b": 2}, {})


def test_the_state_is_bounded() -> None:
    _, known = admit_params({f"p{number}": number for number in range(MAX_KEPT + 500)}, 2, {})

    assert len(known) == MAX_KEPT


def test_edits_follow_the_name() -> None:
    assert edit_attempts({"a": 2}, "a", None) == {}
    assert edit_attempts({"a": 2}, "a", "b") == {"b": 2}
    assert edit_attempts({"b": 2}, "a", "c") == {"b": 2}
