"""
How much is read from the log and not applied yet: the bound above which reading pauses.

Filled by the thread that reads, emptied by the loop that applies. Bytes count, not only records: a record may be 100
bytes or 1 MiB, and during an outage of PostgreSQL memory must stay flat.
"""

from __future__ import annotations

from collections import deque
from threading import Lock

MAX_BYTES = 48 * 1024 * 1024  # two batches of 500 records of 1,000 points
RECORD_COST = 1_500  # bytes of a record's objects beside its key, value and headers


class ReadAhead:
    """The records between the log and the store."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._parts: dict[int, deque[tuple[int, int]]] = {}  # (offset, bytes), by partition
        self._lock = Lock()

    @property
    def is_full(self) -> bool:
        """True while nothing more may be read."""
        return self.bytes >= self._max_bytes

    def add(self, partition: int, offset: int, size: int) -> None:
        """Count a record that was read; `size` is that of its key and value, bytes."""
        with self._lock:
            self._parts.setdefault(partition, deque()).append((offset, size + RECORD_COST))
            self.bytes += size + RECORD_COST

    def release(self, partition: int, following: int) -> None:
        """Forget the records of a partition below offset `following`."""
        with self._lock:
            held = self._parts.get(partition, deque())
            while held and held[0][0] < following:
                self.bytes -= held.popleft()[1]

    def clear(self) -> None:
        """Forget all: reading starts again from the store's offsets, and what was read is dropped."""
        with self._lock:
            self._parts.clear()
            self.bytes = 0
