"""
Metric rows that this process has written, so that a repeated call changes nothing.

Pure. As in MLflow, rows of a run with equal key, step, time and value are one row. The rows of all runs together are
bounded; the oldest are forgotten first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from gateway.server.mlflow.runs.events import Row

MAX_ROWS = 200_000  # of all runs; about 60 MB
Known = tuple[str, Row]


class RecentRows:
    """Rows by run. `forget(run_id, row)` is called for each row that is forgotten."""

    def __init__(self, forget: Callable[[str, Row], None], limit: int = MAX_ROWS) -> None:
        self._rows: set[Known] = set()
        self._order: deque[Known] = deque()
        self._sending: dict[Known, asyncio.Future[str]] = {}
        self._forget, self._limit = forget, limit

    def split(self, run_id: str, rows: Iterable[Row]) -> tuple[list[Row], list[asyncio.Future[str]]]:
        """Return the rows that are new, each once, and the sending of those that another call is writing now."""
        new: dict[Row, None] = {}
        sending = []
        for row in rows:
            key = (run_id, row)
            if key not in self._rows:
                new[row] = None
            elif future := self._sending.get(key):
                sending.append(future)
        return list(new), sending

    def add(self, run_id: str, rows: Sequence[Row], sending: asyncio.Future[str]) -> None:
        """Add rows that are being written: `sending` gets its result when the log has them."""
        for row in rows:
            key = (run_id, row)
            self._rows.add(key)
            self._order.append(key)
            self._sending[key] = sending
        while len(self._order) > self._limit:
            run, row = key = self._order.popleft()
            if key in self._rows:
                self._rows.discard(key)
                self._forget(run, row)

    def settle(self, run_id: str, rows: Iterable[Row], *, is_written: bool) -> None:
        """End the sending of rows. Rows that the log will never have are new again."""
        for row in rows:
            key = (run_id, row)
            self._sending.pop(key, None)
            if not is_written:
                self._rows.discard(key)
