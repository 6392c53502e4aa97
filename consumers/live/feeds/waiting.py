"""
The rows that a reader has not taken yet: never more points than a limit.

Pure. Beyond the limit rows keep their corners only, then rows of a series that follow each other become one, until half
of the limit is left. If that is not enough, because more series changed than the limit has points, all rows are dropped
and the reader has to read again.
"""

from __future__ import annotations

from collections.abc import Callable

from consumers.live.feeds.rows import Key, Row, merge, thin


class WaitingRows:
    """Rows in the order of the log."""

    def __init__(self, limit: Callable[[], int]) -> None:
        """`limit` returns how many points may wait; it is asked each time."""
        self._limit = limit
        self._rows: list[Row] = []
        self.points = 0
        self.is_overrun = False  # rows were dropped

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Add a row."""
        if self.is_overrun:
            return
        self._rows.append(row)
        self.points += row.points
        if self.points > (limit := self._limit()):
            self._shrink(limit)

    def take(self) -> tuple[list[Row], bool]:
        """Return the rows, and whether some were dropped; then nothing waits."""
        taken = self._rows, self.is_overrun
        self._rows, self.points, self.is_overrun = [], 0, False
        return taken

    def _shrink(self, limit: int) -> None:
        rows = [thin(row) for row in self._rows]
        self.points = sum(row.points for row in rows)
        while self.points > limit // 2:
            merged = in_pairs(rows)
            if len(merged) == len(rows):
                break
            rows = merged
            self.points = sum(row.points for row in rows)
        self._rows = rows
        if self.points > limit:
            self._rows, self.points, self.is_overrun = [], 0, True


def in_pairs(rows: list[Row]) -> list[Row]:
    """Return the rows with each two that follow each other in one series and attempt merged."""
    found: list[Row | None] = []
    waiting: dict[Key, int] = {}  # place in `found` of a row that has no partner yet
    for row in rows:
        at = waiting.pop(row.key, None)
        if at is None:
            waiting[row.key] = len(found)
            found.append(row)
            continue
        first = found[at]
        assert first is not None
        found[at] = None
        found.append(merge(first, row))
    return [row for row in found if row is not None]
