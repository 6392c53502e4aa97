"""
The clock of each partition, by which silence is measured.

Pure. A broker stamps the records of a partition in order, so once a record of time t is read, no earlier one can come:
a deadline before t is certain. Where nothing comes, the wall clock takes over once the partition is read to its end.
So it depends on the log alone whether a deadline passes: a back-test passes the same ones. docs/alerts.md has the rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from consumers.log.record import Record


class Clocks:
    """Deadlines of runs, by partition, in ms since 1970."""

    def __init__(self) -> None:
        self._heaps: dict[int, list[tuple[int, str]]] = {}

    def add(self, partition: int, deadline_ms: int, run_id: str) -> None:
        """Have `take` return a run once its deadline is past."""
        heappush(self._heaps.setdefault(partition, []), (deadline_ms, run_id))

    def due(self, partition: int, now_ms: int) -> set[str]:
        """Return the runs with deadlines before `now_ms`."""
        heap = self._heaps.get(partition, [])
        found, waiting = set[str](), [0] if heap else []
        while waiting:
            at = waiting.pop()
            if at < len(heap) and heap[at][0] < now_ms:
                found.add(heap[at][1])
                waiting += (2 * at + 1, 2 * at + 2)
        return found

    def due_by(self, records: Iterable[Record]) -> set[str]:
        """Return the runs with deadlines that pass with one of these records: their times need not rise."""
        latest: dict[int, int] = {}
        for one in records:
            latest[one.partition] = max(one.time_ms, latest.get(one.partition, one.time_ms))
        return set[str]().union(*(self.due(partition, now_ms) for partition, now_ms in latest.items()))

    def take(self, partition: int, now_ms: int) -> tuple[int, str] | None:
        """Remove and return the earliest deadline before `now_ms`, and its run; None if there is none."""
        heap = self._heaps.get(partition)
        return heappop(heap) if heap and heap[0][0] < now_ms else None

    def clear(self) -> None:
        """Forget all deadlines."""
        self._heaps.clear()
