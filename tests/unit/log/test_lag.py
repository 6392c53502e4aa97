"""How far a consumer is behind the log: one rule for commands, pages and metrics."""

from __future__ import annotations

import pytest

from consumers.log.watermarks import Bounds

LOG = Bounds(first={0: 0, 1: 100, 2: 7}, end={0: 10, 1: 150, 2: 7})


@pytest.mark.parametrize(
    ("offsets", "behind"),
    [
        ({0: 10, 1: 150, 2: 7}, {0: 0, 1: 0, 2: 0}),
        ({0: 4, 1: 149, 2: 7}, {0: 6, 1: 1, 2: 0}),
        ({}, {0: 10, 1: 50, 2: 0}),  # it has read nothing yet: every record that the log holds is to come
        ({1: 150}, {0: 10, 1: 0, 2: 0}),
        ({0: 10, 1: 3, 2: 0}, {0: 0, 1: 50, 2: 0}),  # the beginning of the log was deleted
        ({0: 11, 1: 150, 2: 9_000}, {0: 10, 1: 0, 2: 0}),  # a log that was created again: nothing of it is applied
        ({0: 10, 1: 150, 2: 7, 3: 5}, {0: 0, 1: 0, 2: 0}),
    ],
)
def test_every_partition_counts_and_none_is_less_than_nothing(offsets: dict[int, int], behind: dict[int, int]) -> None:
    assert LOG.behind(offsets) == behind


def test_a_worker_counts_its_own_partitions() -> None:
    assert LOG.behind({1: 120}, [1]) == {1: 30}
    assert LOG.behind({9: 1}, [9]) == {}
    assert Bounds({}, {}).behind({0: 3}) == {}
