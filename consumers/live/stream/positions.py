"""
Positions of a stream in the log, as text: `3:120`, or `0:17,3:120` for several partitions.

Every number is the next offset to read, as everywhere in this project. So `as_of` of the API, `id:` of a stream and
`since` of a reader are the same thing: a reader that continues from there misses nothing and repeats nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

MAX_TEXT = 100_000  # characters; twice what 10,000 partitions, the maximum of the settings, need
_FORM = re.compile(r"\d{1,9}:\d{1,18}(,\d{1,9}:\d{1,18})*", re.ASCII)


def parse_positions(text: str) -> dict[int, int]:
    """Return next offsets by partition. Raises ValueError saying what is wrong with the text."""
    if len(text) > MAX_TEXT or not _FORM.fullmatch(text):
        raise ValueError(f"{text!r:.60} is not partition:offset[,partition:offset]")
    positions: dict[int, int] = {}
    for part in text.split(","):
        partition, offset = map(int, part.split(":"))
        if partition in positions:
            raise ValueError(f"partition {partition} is named twice")
        positions[partition] = offset
    return positions


def added_since(positions: Mapping[int, int], now: Iterable[int]) -> set[int]:
    """
    Return the partitions of `now` that a topic got after these positions of all its partitions were written.

    Positions of some partitions, or of the first one alone, tell nothing about the others: then there are none.
    """
    is_whole = len(positions) > 1 and positions.keys() == set(range(len(positions)))
    return set(now) - positions.keys() if is_whole else set()


def write_positions(positions: Mapping[int, int]) -> str:
    """Return the text of next offsets by partition."""
    return ",".join(f"{partition}:{offset}" for partition, offset in sorted(positions.items()))
