"""A series is found by the index of names, whatever its written name is made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.store.read.series_pages import possible_names
from schemas.names import series_name

PARTS = st.text(alphabet="ab/{}=,", min_size=1, max_size=8)


@given(PARTS, PARTS | st.just("main"), st.dictionaries(PARTS, PARTS, max_size=2))
def test_the_name_of_a_series_is_among_those_that_its_written_name_may_have(
    name: str, step_name: str, labels: dict[str, str]
) -> None:
    found = possible_names([series_name(name, labels, step_name)])

    assert found is None or name in found


def test_without_names_and_for_a_hostile_one_nothing_is_left_out() -> None:
    assert possible_names(None) is None
    assert possible_names(["{/" * 500]) is None
    assert possible_names([]) == []
    assert possible_names(["train/loss{rank=3}"]) == ["loss", "loss{rank=3}", "train/loss", "train/loss{rank=3}"]
