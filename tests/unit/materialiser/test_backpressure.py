"""The read-ahead counts the bytes between the log and the store, and says when reading must pause."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.materialiser.backpressure import RECORD_COST, ReadAhead


@given(st.lists(st.integers(0, 1_000_000), max_size=30), st.integers(0, 30))
def test_the_bytes_are_those_of_records_added_and_not_released(sizes: list[int], applied: int) -> None:
    read_ahead = ReadAhead()
    for offset, size in enumerate(sizes):
        read_ahead.add(0, offset, size)
    read_ahead.release(0, applied)
    read_ahead.release(7, 99)

    assert read_ahead.bytes == sum(size + RECORD_COST for size in sizes[applied:])
    read_ahead.clear()
    assert (read_ahead.bytes, read_ahead.is_full) == (0, False)


def test_reading_stops_at_the_bound_and_resumes_below_it() -> None:
    read_ahead = ReadAhead(max_bytes=10_000)
    read_ahead.add(0, 5, 9_000)
    full = read_ahead.is_full
    read_ahead.release(0, 6)

    assert (full, read_ahead.is_full) == (True, False)
