"""A log that ends before offsets that were read is named with both offsets and the next step."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from consumers.log.reader import check_length, shorter_log
from schemas.errors import LogGap, LogShorter, Refused


@pytest.mark.parametrize(
    ("read", "end", "named"),
    [
        ({}, {0: 5}, ""),
        ({0: 5, 1: 0}, {0: 5, 1: 0}, ""),
        ({0: 4}, {0: 5, 1: 9}, ""),
        ({1: 0}, {0: 5}, ""),  # a partition that was assigned once and is gone, with nothing read of it
        ({0: 6}, {0: 5}, "partition 0 ends at offset 5, before offset 6 of the reader"),
        ({7: 3}, {0: 5}, "partition 7 ends at offset 0, before offset 3 of the reader"),
    ],
)
def test_both_offsets_are_named(read: Mapping[int, int], end: Mapping[int, int], named: str) -> None:
    problem = shorter_log("log", read, end, "the reader")

    assert bool(problem) == bool(named)
    assert named in problem


def test_a_message_names_some_partitions_and_the_next_step() -> None:
    with pytest.raises(LogShorter) as raised:
        check_length("log", dict.fromkeys(range(50), 9), dict.fromkeys(range(50), 2), "the reader")

    text = str(raised.value)
    assert text.count("ends at offset") == 3
    assert text.endswith("restore the log that has these offsets, or start with an empty database")
    assert isinstance(raised.value, LogGap | Refused)
