"""
Back-pressure: the bytes read from the log and not yet applied, and the bound above which reading pauses.

The thread that reads adds records, the event loop that applies them releases them. The bound is in bytes, not in
records: a record may be 100 bytes or 1 MiB, and memory must stay flat during an outage of PostgreSQL.
"""

from __future__ import annotations

from collections import deque
from threading import Lock

MAX_BYTES = 48 * 1024 * 1024  # two batches of 500 records of 1,000 points
RECORD_COST = 1_500  # bytes of a record's objects, in addition to its key, value and headers


class ReadAhead:
    """Sizes of the records between the log and the store."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.bytes = self.records = 0
        self._max_bytes = max_bytes
        self._records: dict[int, deque[tuple[int, int]]] = {}  # (offset, bytes), by partition
        self._lock = Lock()

    @property
    def is_full(self) -> bool:
        """True while nothing more may be read."""
        return self.bytes >= self._max_bytes

    def add(self, partition: int, offset: int, size: int) -> None:
        """Count a record that was read; `size` is the length of its key and value in bytes."""
        with self._lock:
            self._records.setdefault(partition, deque()).append((offset, size + RECORD_COST))
            self.bytes += size + RECORD_COST
            self.records += 1

    def release(self, partition: int, next_offset: int) -> None:
        """Stop counting the records of a partition below `next_offset`: they are applied."""
        with self._lock:
            records = self._records.get(partition, deque())
            while records and records[0][0] < next_offset:
                self.bytes -= records.popleft()[1]
                self.records -= 1

    def clear(self) -> None:
        """Stop counting all records: reading restarts at the store's offsets, and what was read is discarded."""
        with self._lock:
            self._records.clear()
            self.bytes = self.records = 0
