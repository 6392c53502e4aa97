"""
When to fold at once, and when to wait for more records.

Pure: the clock comes in. Grouping records makes many of them cheap, and a single one slow, which somebody may wait to
read. So few records are folded at once, as long as that takes no more than a quarter of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

REST = 3
WIDE_SERIES, WIDE_POINTS = 10_000, 32  # of this many series, and of each fewer than so many points: a batch is wide
WIDE_FACTOR = 4  # ... and the next one may have so many times the records
BUSY_RECORDS_S = 200  # a second: from here on one fetch a record costs more than the wait for several


class FullBatch:
    """
    The size from which on a batch waits for no more records. Faust asks `size >= it` after each that it adds.

    A smaller batch is full, too, if nothing else was read, and if REST times as long as the last transaction took have
    passed since its end. A backlog makes batches as large as ever, and larger still while each record has points of
    many series: what a transaction costs for a series is then shared by more of its points.
    """

    def __init__(self, most: int, unapplied: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        """Hold at most `most` records; `unapplied` tells how many were read and are not applied."""
        self._normal = self._most = most
        self._unapplied, self._clock = unapplied, clock
        self._began = self._ended = clock()

    def __le__(self, size: int) -> bool:
        if size >= self._most:
            return True
        return size >= self._unapplied() and self._clock() - self._ended >= REST * (self._ended - self._began)

    def begin(self) -> None:
        """Note that the transaction of a batch begins."""
        self._began = self._clock()

    def end(self, series: int = 0, points: int = 0) -> None:
        """Note that it has ended, and wrote so many points of so many series."""
        self._ended = self._clock()
        is_wide = series >= WIDE_SERIES and points < WIDE_POINTS * series
        self._most = self._normal * WIDE_FACTOR if is_wide else self._normal


class Arrivals:
    """Tells whether so many records arrive that it is worth waiting for several."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = 0.0  # when some came last

    def are_many(self, records: int) -> bool:
        """Count the records of a fetch; return whether more than BUSY_RECORDS_S a second have come since the last."""
        if not records:
            return False
        last, self._last = self._last, self._clock()
        return records > BUSY_RECORDS_S * (self._last - last)
