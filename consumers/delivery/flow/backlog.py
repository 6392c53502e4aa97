"""
Records that are read from the log and not yet delivered, queued by run.

Pure: no clock, no I/O; times are passed in. Each run has a queue of its own, so a run that waits or is parked does not
block any other. `offsets` returns where reading has to start after a restart: the oldest undelivered record of each
partition.

A run may need a re-read: partition offsets have passed records that its tracker does not have, because the run was
parked, or because no replay had chosen it before. A second reader supplies its records, and those that the first reader
finds of it are skipped, until both readers have reached the same offset (`hand_over`). The run counts as rereading
until its queue has been empty once after that. Until then `offsets` does not wait for it: a restarted process re-reads
it from its own offset.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from consumers.store.delivery.history import HISTORY
from consumers.store.run_partitions import is_stray
from schemas.errors import BadRecord
from schemas.wire import identify

if TYPE_CHECKING:
    from consumers.log.record import Record

MAX_BYTES = 64 * 1024 * 1024  # read and undelivered; reading pauses above it
NO_PARTITIONS: Mapping[str, int] = MappingProxyType({})
RECORD_OVERHEAD = 1_000  # bytes that a record takes in memory in addition to its value, approximately


@dataclass
class _Queue:
    partition: int
    records: deque[Record] = field(default_factory=deque)
    in_flight: int = 0  # records handed out, from the left
    not_before: float = 0.0  # seconds, on the caller's clock
    failures: int = 0  # consecutive
    rereading: bool = False  # it contains records that partition offsets have passed


class Backlog:
    """Undelivered records by run. `bytes` is the memory that they take, approximately."""

    def __init__(self, offsets: Mapping[int, int], *, max_bytes: int = MAX_BYTES) -> None:
        """Start at these offsets of the log, by partition; the backlog is full at `max_bytes`."""
        self._positions = dict(offsets)
        self._max_bytes = max_bytes
        self._queues: dict[str, _Queue] = {}
        self._parked: set[str] = set()
        self._rereads: dict[str, tuple[int, int]] = {}  # by run: partition, next offset of the second reader
        self.bytes = 0
        self.passed_over: Counter[str] = Counter()  # records about other subjects than runs, by collection

    def __len__(self) -> int:
        """Return how many runs have undelivered records."""
        return len(self._queues)

    @property
    def is_full(self) -> bool:
        """Whether reading has to pause."""
        return self.bytes >= self._max_bytes

    def add(self, records: Iterable[Record], partitions: Mapping[str, int] = NO_PARTITIONS) -> int:
        """
        Queue records of the first reader, given the partitions of their runs.

        Returns how many were skipped: about no run, of a run that is parked, or strays, whose copies come later.
        """
        skipped = 0
        for record in records:
            self._positions[record.partition] = record.offset + 1
            try:
                subject = identify(record.key, record.headers).subject
            except BadRecord:
                skipped += 1  # the materialiser parks it
                continue
            run_id = subject.id
            if subject.collection != "runs":
                self.passed_over[subject.collection] += 1
                skipped += 1
                continue
            if run_id in self._parked or is_stray(run_id, record.partition, partitions):
                skipped += 1
                continue
            if run_id not in self._rereads:
                self._append(run_id, record, rereading=False)
        return skipped

    def add_reread(self, records: Iterable[Record], partitions: Mapping[str, int] = NO_PARTITIONS) -> None:
        """Queue records of the second reader: those of runs that are rereading, without strays."""
        for record in records:
            try:
                run_id = identify(record.key, record.headers).run_id
            except BadRecord:
                continue
            if run_id is None or is_stray(run_id, record.partition, partitions):
                continue
            if run_id in self._rereads and record.offset >= self._rereads[run_id][1]:
                self._rereads[run_id] = (record.partition, record.offset + 1)
                self._append(run_id, record, rereading=True)

    def start_reread(self, run_id: str, partition: int, next_offset: int) -> None:
        """Take the records of this run from the second reader, from this offset on; drop those that are queued."""
        self._parked.discard(run_id)
        self._drop(run_id)
        self._rereads[run_id] = (partition, next_offset)

    @property
    def has_rereads(self) -> bool:
        """Whether any run still needs the second reader, or its history from PostgreSQL."""
        return bool(self._rereads)

    def reread_positions(self) -> dict[str, tuple[int, int]]:
        """Return partition and next offset of each run that needs the second reader, or its history."""
        return dict(self._rereads)

    def reread_starts(self) -> dict[int, int]:
        """Return by partition where the second reader has to start; runs that get their history do not count."""
        found: dict[int, int] = {}
        for partition, offset in self._rereads.values():
            if offset < HISTORY:
                found[partition] = min(offset, found.get(partition, offset))
        return found

    def queued_records(self, run_id: str) -> int:
        """Return how many records of a run are read and not delivered."""
        return len(self._queues[run_id].records) if run_id in self._queues else 0

    def is_queued(self, run_id: str) -> bool:
        """Tell whether records of a run are read and not delivered."""
        return run_id in self._queues

    def hand_over(self, partition: int) -> list[str]:
        """
        Let the first reader serve all runs of a partition, because both readers have reached the same offset.

        Returns the runs that have everything up to this offset, and so have caught up.
        """
        runs = [run for run, (its, offset) in self._rereads.items() if its == partition and offset < HISTORY]
        for run in runs:
            del self._rereads[run]
        return [run for run in runs if run not in self._queues]

    def is_rereading(self, run_id: str) -> bool:
        """Tell whether partition offsets have passed undelivered records of this run."""
        return run_id in self._rereads or (run_id in self._queues and self._queues[run_id].rereading)

    def is_caught_up(self) -> bool:
        """Tell whether no run is rereading, so that `offsets` holds for every run."""
        return not self._rereads and not any(queue.rereading for queue in self._queues.values())

    def still_rereading(self, run_id: str) -> bool:
        """Tell whether a run is rereading once its current call is done; if not, `offsets` waits for it again."""
        queue = self._queues[run_id]
        if queue.rereading and run_id not in self._rereads and len(queue.records) == queue.in_flight:
            queue.rereading = False
        return self.is_rereading(run_id)

    def has_records(self, run_id: str) -> bool:
        """Tell whether records of a run are queued or will be re-read."""
        return run_id in self._queues or run_id in self._rereads

    def is_in_call(self, run_id: str) -> bool:
        """Tell whether records of a run are handed out."""
        return run_id in self._queues and self._queues[run_id].in_flight > 0

    def position(self, partition: int) -> int | None:
        """Return the next offset of the first reader; None for a partition that it does not read yet."""
        return self._positions.get(partition)

    def ready(self, now: float, limit: int) -> list[str]:
        """Return at most `limit` runs that may be delivered now, longest waiting first."""
        free = (run for run, queue in self._queues.items() if not queue.in_flight and queue.not_before <= now)
        return list(islice(free, limit))

    def probe_candidate(self, admitted: Callable[[str], bool], unanswered: Callable[[str], int]) -> str | None:
        """
        Return the admitted run to probe a tracker with, even if its retry is not due.

        Among the runs with the fewest consecutive unanswered calls it is the one with the fewest failures.
        """
        free = (run for run, queue in self._queues.items() if not queue.in_flight and admitted(run))
        return min(free, key=lambda run: (unanswered(run), self.failures(run)), default=None)

    def hand_out(self, run_id: str, *, max_records: int, max_bytes: int) -> list[Record]:
        """Return the oldest records of a run, at least one, and note that they are in a call."""
        queue = self._queues[run_id]
        taken: list[Record] = []
        size = 0
        for record in queue.records:
            size += _size(record)
            if taken and (len(taken) >= max_records or size > max_bytes):
                break
            taken.append(record)
        queue.in_flight = len(taken)
        return taken

    def remove_delivered(self, run_id: str) -> bool:
        """Remove delivered records. Returns True if this run has just caught up and that has not been recorded yet."""
        queue = self._queues.pop(run_id)
        for _ in range(queue.in_flight):
            self.bytes -= _size(queue.records.popleft())
        queue.in_flight = queue.failures = 0
        if queue.records:
            self._queues[run_id] = queue  # at the end: others have waited longer
            return False
        return queue.rereading and run_id not in self._rereads

    def postpone(self, run_id: str, until: float) -> None:
        """Put back the records of a call that failed; the run may be called again at `until`."""
        queue = self._queues[run_id]
        queue.in_flight = 0
        queue.failures += 1
        queue.not_before = until

    def put_back(self, run_id: str) -> None:
        """Put back the records of a call that never reached the tracker."""
        self._queues[run_id].in_flight = 0

    def park(self, run_id: str) -> None:
        """Drop the records of a run (the log keeps them) and skip later ones."""
        self._parked.add(run_id)
        self._rereads.pop(run_id, None)
        self._drop(run_id)

    def end_waits(self) -> None:
        """Make all postponed runs ready: the tracker has accepted a call again."""
        for queue in self._queues.values():
            queue.not_before = 0.0

    def failures(self, run_id: str) -> int:
        """Return how many times in a row a run was postponed."""
        return self._queues[run_id].failures

    def offsets(self) -> dict[int, int]:
        """Return for each partition where reading has to start after a restart."""
        found = dict(self._positions)
        for queue in self._queues.values():
            if not queue.rereading and queue.partition in found:
                found[queue.partition] = min(found[queue.partition], queue.records[0].offset)
        return found

    def _append(self, run_id: str, record: Record, *, rereading: bool) -> None:
        queue = self._queues.setdefault(run_id, _Queue(record.partition))
        queue.records.append(record)
        queue.rereading |= rereading
        self.bytes += _size(record)

    def _drop(self, run_id: str) -> None:
        if (queue := self._queues.pop(run_id, None)) is not None:
            self.bytes -= sum(map(_size, queue.records))


def _size(record: Record) -> int:
    return RECORD_OVERHEAD + len(record.value or b"")
