"""
One producer: the journal of one process for one run, and the numbers of the batches cut from it.

Batches are numbered from 0 without gaps when they are cut, before anything is sent: whatever happens afterwards, the
same number always means the same bytes. Runs in the shipper's thread; other threads read its counters.
"""

from __future__ import annotations

from time import time_ns

from gateway.client.batch import Cut, Cutter
from gateway.client.journal import Marker
from gateway.client.notices import say_once
from gateway.client.wire import MAX_RECORD, encode, source_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from gateway.client.journal import Journal
    from gateway.client.wire import Record

ENDINGS = frozenset({"run_finished", "run_failed", "run_killed"})


class Batch:
    """A record on its way: whose it is and what it holds."""

    __slots__ = ("points", "producer", "record", "seq", "values")

    def __init__(self, producer: Producer, seq: int, record: Record, points: int, values: int) -> None:
        self.producer = producer
        self.seq = seq
        self.record = record
        self.points = points
        self.values = values


class Producer:
    """Cuts one journal into numbered records and counts what became of them."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.batches = 0  # cut
        self.points = 0  # metric points cut
        self.values = 0  # other values cut
        self.acknowledged_batches = 0
        self.acknowledged_points = 0
        self.acknowledged_values = 0
        self.is_closed = False  # producer_closed is cut: nothing can follow
        self._cutter = Cutter()
        self._source = source_of(journal.run_id, journal.producer)
        self._markers: list[tuple[int, Marker]] = []  # number of batches before each

    def cut(self, limit: int) -> list[Batch]:
        """Take at most `limit` items from the journal and return their batches, in order."""
        batches = []
        for cut in self._cutter.cut(self.journal.take(limit)):
            if isinstance(cut, Marker):
                self._markers.append((self.batches, cut))
            elif self.is_closed:
                self.journal.lose(cut.points + cut.values)  # emitted by another thread while finish() ran
            else:
                batches.append(self._number(cut))
        self._reach()
        return batches

    def acknowledge(self, batches: Iterable[Batch]) -> None:
        """Count batches of this producer that the log has."""
        for batch in batches:
            self.acknowledged_batches = max(self.acknowledged_batches, batch.seq + 1)
            self.acknowledged_points += batch.points
            self.acknowledged_values += batch.values
        self._reach()

    @property
    def is_done(self) -> bool:
        """Whether everything this producer will ever send is acknowledged."""
        return self.is_closed and self.acknowledged_batches == self.batches

    def _number(self, cut: Cut) -> Batch:
        seq, now = self.batches, time_ns() // 1_000
        kind = cut.body["kind"]
        try:
            record = self._encode(seq, now, self._completed(cut, seq))
            fault = f"of {len(record.value):,} bytes is too large" if len(record.value) > MAX_RECORD else ""
        except (TypeError, ValueError, KeyError) as error:
            fault = f"cannot be written as JSON ({error!r:.200})"
        if fault:
            # Kafka would refuse it for ever and everything behind it would wait. Its number is used all the same.
            say_once("record", f"an event {kind} {fault}: it is dropped, and its points are counted as dropped")
            self.journal.lose(cut.points + cut.values)
            cut = Cut({"kind": "heartbeat", "time": now})
            record = self._encode(seq, now, cut.body)
        self.batches += 1
        self.points += cut.points
        self.values += cut.values
        return Batch(self, seq, record, cut.points, cut.values)

    def _encode(self, seq: int, time: int, body: dict[str, Any]) -> Record:
        return encode(self.journal.run_id, self._source, seq, time, body)

    def _completed(self, cut: Cut, seq: int) -> dict[str, Any]:
        """Return the event with the totals that are known only here."""
        kind = cut.body["kind"]
        if kind in ENDINGS:
            return {**cut.body, "batches": seq + 1}
        if kind == "producer_closed":
            self.is_closed = True
            return {**cut.body, "batches": seq + 1, "points": self.points, "dropped": self.journal.dropped}
        return cut.body

    def _reach(self) -> None:
        while self._markers and self._markers[0][0] <= self.acknowledged_batches:
            self._markers.pop(0)[1].reached.set()
