"""
The speed of this Python on this machine, as the CPU time of a fixed loop.

Our own CPU times are divided by it where no other tool does the same work. The loop never changes, so that these ratios
can be compared for years.
"""

from __future__ import annotations

import json
from struct import pack
from time import thread_time

LOOP = "the reference loop"
_TURNS, _BLOCKS = 500, 100


def reference_us() -> float:
    """Return the CPU time of a turn of the loop, µs: the best of many short blocks, together about a quarter second."""
    return min(_block() for _ in range(_BLOCKS)) * 1e6 / _TURNS  # other programs disturb the median, even of CPU time


def _block() -> float:
    begin, seen = thread_time(), 0
    for turn in range(_TURNS):
        values = {f"metric_{number}": turn / (number + 1) for number in range(5)}
        text = json.dumps({"step": turn, "values": values})
        seen += len(text) + sum(pack("<5d", *values.values()))
    assert seen > 0
    return thread_time() - begin
