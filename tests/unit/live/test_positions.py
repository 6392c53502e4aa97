"""Positions of a stream as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.live.stream.positions import parse_positions, write_positions

POSITIONS = st.dictionaries(st.integers(0, 10**9 - 1), st.integers(0, 10**18 - 1), min_size=1)


@given(POSITIONS)
def test_what_was_written_is_read_back(positions: dict[int, int]) -> None:
    assert parse_positions(write_positions(positions)) == positions


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3:",
        ":4",
        "a:1",
        "1:-1",
        "1:2,",
        ",1:2",
        "1:2;2:3",
        "1:2 ",
        "1:2\n",
        "١:٢",
        "1:" + "9" * 19,
        "0x1:2",
        "1.0:2",
    ],
)
def test_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not partition:offset"):
        parse_positions(text)


def test_a_partition_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="partition 1 is named twice"):
        parse_positions("1:2,1:3")
