"""Ranges of a request, as RFC 9110 section 14 has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.artifacts.ranges import Part, Unsatisfiable, read_range


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        ("bytes=0-499", 10_000, (0, 500)),
        ("bytes=500-999", 10_000, (500, 1_000)),
        ("bytes=-500", 10_000, (9_500, 10_000)),
        ("bytes=9500-", 10_000, (9_500, 10_000)),
        ("bytes=0-0", 10_000, (0, 1)),
        ("bytes=-1", 10_000, (9_999, 10_000)),
        ("bytes=9999-20000", 10_000, (9_999, 10_000)),
        ("bytes=-20000", 10_000, (0, 10_000)),
        ("Bytes = 5-6 ", 10_000, (5, 7)),
        ("bytes=0-0,-1", 10_000, None),
        ("bytes=6-5", 10_000, None),
        ("bytes=-", 10_000, None),
        ("bytes=", 10_000, None),
        ("bytes=a-b", 10_000, None),
        ("lines=0-5", 10_000, None),
        ("", 10_000, None),
        ("bytes=" + "9" * 5_000 + "-", 10_000, None),
    ],
)
def test_ranges(header: str, size: int, expected: tuple[int, int] | None) -> None:
    assert read_range(header, size) == expected


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_ranges_without_a_byte(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        read_range(header, size)


@given(st.text(alphabet="bytes=0123456789-, ", max_size=20), st.integers(0, 2_000))
def test_a_range_is_always_inside(text: str, size: int) -> None:
    try:
        found = read_range("bytes=" + text, size)
    except Unsatisfiable:
        return
    assert found is None or (Part(0, 1) <= found and 0 <= found.start < found.end <= size)
