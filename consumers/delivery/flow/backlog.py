"""
What is read from the log and not yet delivered, and who may go next.

Pure: no clock, no I/O; times are handed in. Each run is a queue of its own, so that one run that waits or is parked
holds up no other. A partition may be restarted from its oldest undelivered record, which is what `offsets` says.

A run may be behind: partition offsets have passed records that its tracker does not have, because it was parked, or
never chosen. It gets its records from a second reading of the log, and what the first one brings of it is passed over,
until both are at the same place (`hand_over`). It counts as behind until its queue was empty once after that: so long
`offsets` does not wait for it, and whoever starts anew reads it again from its own offset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from consumers.store.delivery.history import HISTORY
from schemas.errors import BadRecord
from schemas.wire import identify

if TYPE_CHECKING:
    from consumers.log.record import Record

RECORD_OVERHEAD = 1_000  # bytes that a record in memory costs beside its value, about


@dataclass
class _Queue:
    partition: int
    records: deque[Record] = field(default_factory=deque)
    in_flight: int = 0  # records handed out, from the left
    not_before: float = 0.0  # seconds, on the caller's clock
    failures: int = 0  # in a row
    behind: bool = False  # it holds records that partition offsets have passed


class Backlog:
    """Undelivered records by run."""

    def __init__(self, offsets: Mapping[int, int]) -> None:
        self._positions = dict(offsets)
        self._queues: dict[str, _Queue] = {}
        self._parked: set[str] = set()
        self._behind: dict[str, tuple[int, int]] = {}  # partition, next offset wanted of the second reading
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._queues)

    def take_in(self, records: Iterable[Record]) -> int:
        """Queue records by run; return how many were passed over because no run can be told or theirs is parked."""
        passed = 0
        for record in records:
            self._positions[record.partition] = record.offset + 1
            try:
                run_id = identify(record.key, record.headers).run_id
            except BadRecord:
                passed += 1  # the materialiser parks it
                continue
            if run_id in self._parked:
                passed += 1
                continue
            if run_id not in self._behind:
                self._append(run_id, record, behind=False)
        return passed

    def take_in_again(self, records: Iterable[Record]) -> None:
        """Queue records of the second reading, those of runs that are behind."""
        for record in records:
            try:
                run_id = identify(record.key, record.headers).run_id
            except BadRecord:
                continue
            if run_id in self._behind and record.offset >= self._behind[run_id][1]:
                self._behind[run_id] = (record.partition, record.offset + 1)
                self._append(run_id, record, behind=True)

    def fall_behind(self, run_id: str, partition: int, next_offset: int) -> None:
        """From now on the run gets its records from the second reading, from this offset on; none of it is queued."""
        self._parked.discard(run_id)
        self._drop(run_id)
        self._behind[run_id] = (partition, next_offset)

    def behind(self) -> dict[int, int]:
        """Return where the second reading has to begin, by partition; empty when no run is behind."""
        found: dict[int, int] = {}
        for partition, offset in self._behind.values():
            found[partition] = min(offset, found.get(partition, offset))
        return found

    def reading_starts(self) -> dict[int, int]:
        """Return the same of runs that get their records from the log, and not from their history."""
        found: dict[int, int] = {}
        for partition, offset in self._behind.values():
            if offset < HISTORY:
                found[partition] = min(offset, found.get(partition, offset))
        return found

    def wanted(self) -> dict[str, tuple[int, int]]:
        """Return of each run that is behind its partition and the next offset that it wants."""
        return dict(self._behind)

    def queued(self, run_id: str) -> int:
        """Return how many records of a run are read and not delivered."""
        return len(self._queues[run_id].records) if run_id in self._queues else 0

    def is_queued(self, run_id: str) -> bool:
        """Tell whether records of a run are read and not delivered."""
        return run_id in self._queues

    def hand_over(self, partition: int) -> list[str]:
        """
        Both readings are at the same place: the first one serves all runs of a partition from here on.

        Returns those that have everything up to here, and so are behind no more.
        """
        runs = [run for run, (its, offset) in self._behind.items() if its == partition and offset < HISTORY]
        for run in runs:
            del self._behind[run]
        return [run for run in runs if run not in self._queues]

    def is_behind(self, run_id: str) -> bool:
        """Tell whether this is known to be behind."""
        return run_id in self._behind or (run_id in self._queues and self._queues[run_id].behind)

    def is_level(self) -> bool:
        """Tell whether `offsets` speaks for every run."""
        return not self._behind and not any(queue.behind for queue in self._queues.values())

    def still_behind(self, run_id: str) -> bool:
        """Tell whether a run is behind once it has what was handed out; if not, `offsets` waits for it again."""
        queue = self._queues[run_id]
        if queue.behind and run_id not in self._behind and len(queue.records) == queue.in_flight:
            queue.behind = False
        return self.is_behind(run_id)

    def has(self, run_id: str) -> bool:
        """Tell whether records of a run are queued or to be read again."""
        return run_id in self._queues or run_id in self._behind

    def is_out(self, run_id: str) -> bool:
        """Tell whether records of a run are handed out."""
        return run_id in self._queues and self._queues[run_id].in_flight > 0

    def position(self, partition: int) -> int:
        """Return the next offset of the first reading."""
        return self._positions[partition]

    def ready(self, now: float, limit: int) -> list[str]:
        """Return at most `limit` runs that may be delivered now, longest waiting first."""
        free = (run for run, queue in self._queues.items() if not queue.in_flight and queue.not_before <= now)
        return list(islice(free, limit))

    def steadiest(self, admitted: Callable[[str], bool], unanswered: Callable[[str], int]) -> str | None:
        """
        Return the admitted run with which a tracker is tried, whether it waits or not.

        It is one with the fewest calls in a row that never came back, and of those the one that failed least.
        """
        free = (run for run, queue in self._queues.items() if not queue.in_flight and admitted(run))
        return min(free, key=lambda run: (unanswered(run), self.failures(run)), default=None)

    def start(self, run_id: str, *, max_records: int, max_bytes: int) -> list[Record]:
        """Hand out the oldest records of a run, at least one."""
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

    def delivered(self, run_id: str) -> bool:
        """What was handed out is done and kept; return whether the run is behind no more and nobody said so."""
        queue = self._queues.pop(run_id)
        for _ in range(queue.in_flight):
            self.bytes -= _size(queue.records.popleft())
        queue.in_flight = queue.failures = 0
        if queue.records:
            self._queues[run_id] = queue  # at the end: others waited longer
            return False
        return queue.behind and run_id not in self._behind

    def postponed(self, run_id: str, until: float) -> None:
        """What was handed out goes back; the run may start again at `until`."""
        queue = self._queues[run_id]
        queue.in_flight = 0
        queue.failures += 1
        queue.not_before = until

    def put_back(self, run_id: str) -> None:
        """What was handed out goes back: it was not brought anywhere."""
        self._queues[run_id].in_flight = 0

    def parked(self, run_id: str) -> None:
        """The run is out: its records are dropped here (the log keeps them), later ones are passed over."""
        self._parked.add(run_id)
        self._behind.pop(run_id, None)
        self._drop(run_id)

    def wake(self) -> None:
        """Nobody has to wait any longer: the tracker took something again."""
        for queue in self._queues.values():
            queue.not_before = 0.0

    def failures(self, run_id: str) -> int:
        """Return how often in a row a run was postponed."""
        return self._queues[run_id].failures

    def offsets(self) -> dict[int, int]:
        """Return for each partition where reading would have to start again."""
        found = dict(self._positions)
        for queue in self._queues.values():
            if not queue.behind and queue.partition in found:
                found[queue.partition] = min(found[queue.partition], queue.records[0].offset)
        return found

    def _append(self, run_id: str, record: Record, *, behind: bool) -> None:
        queue = self._queues.setdefault(run_id, _Queue(record.partition))
        queue.records.append(record)
        queue.behind |= behind
        self.bytes += _size(record)

    def _drop(self, run_id: str) -> None:
        if (queue := self._queues.pop(run_id, None)) is not None:
            self.bytes -= sum(map(_size, queue.records))


def _size(record: Record) -> int:
    return RECORD_OVERHEAD + len(record.value or b"")
