"""
One producer: the numbers of the batches cut from one journal.

Batches are numbered from 0 without gaps when they are cut, and where they were cut is written down before anything is
sent: whatever happens afterwards, the same number always means the same bytes. Runs in the shipper's thread; other
threads read its counters.
"""

from __future__ import annotations

from zlib import crc32

from gateway.client.encoding.values import now
from gateway.client.encoding.wire import MAX_RECORD, encode_text, source_of
from gateway.client.journal.cursor import BatchBoundary
from gateway.client.journal.entries import time_of
from gateway.client.journal.format import Damage
from gateway.client.journal.series import ENDINGS
from gateway.client.notices import warn_once
from gateway.client.shipping.batching import encode_events, take_slice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.client.encoding.wire import Record
    from gateway.client.journal.cursor import ShippingCursor
    from gateway.client.journal.readable import JournalPosition, ReadableJournal
    from gateway.client.journal.segment import Segment
    from gateway.client.shipping.batching import EncodedEvent, JournalSlice

MUCH_BYTES = 40_000  # of 1,000 points


class OutgoingRecord:
    """A record on its way: whose it is and what it holds."""

    __slots__ = ("place", "points", "producer", "record", "seq", "values")

    def __init__(
        self, producer: Producer, seq: int, record: Record, points: int, values: int, place: JournalPosition | None
    ) -> None:
        self.producer = producer
        self.seq = seq
        self.record = record
        self.points = points
        self.values = values
        self.place = place  # where its cut ends; None when more records of the cut follow


class Producer:
    """Cuts one journal into numbered records and counts what became of them."""

    def __init__(self, journal: ReadableJournal) -> None:
        cuts = journal.cuts
        self.journal = journal
        self.batches = 0  # cut, here or by those before
        self.points = 0  # metric points cut
        self.values = 0  # other values cut here
        self.acknowledged_points = 0
        self.acknowledged_values = 0
        self.acknowledged_batches = 0
        self.lost = 0  # of those that were in the journal; what never came into it the journal counts alone
        self.damage = Damage()
        self.is_closed = False  # producer_closed is cut: nothing can follow
        self._source = b""
        self._place: JournalPosition = (0, 0)  # everything before it is cut
        self._tail: JournalPosition = (0, 0)  # what is written behind it is for the next turn
        self._again: list[BatchBoundary] = []  # cut by those before and not acknowledged, last first
        if cuts is not None and cuts.cut:
            self._resume(cuts)

    def cut(self, limit: int) -> list[OutgoingRecord]:
        """Take about `limit` records from the journal and return their batches, in order."""
        batches: list[OutgoingRecord] = []
        taken, self._tail = 0, self.journal.tail()
        while taken < limit:
            try:
                found = self._encode_again() if self._again else self._cut_next()
            except Exception:  # what is cut already must be sent; the next turn meets the error again
                if not batches:
                    raise
                break
            if found is None:
                break
            batches += found
            taken += sum(batch.points + batch.values for batch in found) + 1
        self._reach()
        return batches

    @property
    def has_much(self) -> bool:
        """Whether more than one full batch can be cut now."""
        cuts, (number, end) = self.journal.cuts, self.journal.tail()
        if self._again:
            return True
        if self.is_closed or cuts is None or cuts.is_full:
            return False
        return self._place[0] < number or end - self._place[1] >= MUCH_BYTES

    def acknowledge(self, batches: Iterable[OutgoingRecord]) -> None:
        """Count batches of this producer that the log has."""
        seq, cuts, place = 0, 0, None
        for batch in batches:
            seq = batch.seq + 1
            self.acknowledged_points += batch.points
            self.acknowledged_values += batch.values
            if batch.place is not None:
                cuts, place = cuts + 1, batch.place
        self.acknowledged_batches = seq
        self.journal.acknowledge(seq, cuts, place)
        self._reach()
        if self.is_done:
            self.journal.remove()

    def lose(self, count: int) -> None:
        """Count points or values of the journal that the log will never have."""
        self.lost += count
        self.journal.lose(count)

    @property
    def is_done(self) -> bool:
        """Whether everything this producer will ever send is acknowledged."""
        return self.is_closed and self.acknowledged_batches == self.batches and not self._again

    def _resume(self, cuts: ShippingCursor) -> None:
        """Go on where those before stopped."""
        self._place, self.points = cuts.end, cuts.points
        numbers = range(cuts.acknowledged, cuts.cut)
        self._again = [found for found in map(cuts.read, reversed(numbers)) if found is not None]
        self.batches = self.acknowledged_batches = cuts.seq
        if self._again:
            last = self._again[0]
            self.batches = last.seq + last.events

    def _cut_next(self) -> list[OutgoingRecord] | None:
        while not self.is_closed:
            found = self._piece()
            if found is None:
                return None
            segment, piece = found
            events = encode_events(segment, piece)
            batches = self._number(segment, piece, events) if events else []
            self._place = (segment.number, piece.end)  # last: a piece that an error kept from being cut comes again
            if batches:
                return batches
        self._discard()
        return None

    def _piece(self) -> tuple[Segment, JournalSlice] | None:
        """Return what comes next, with its segment; None when there is nothing or too much is unacknowledged."""
        tail, cuts = self._tail, self.journal.cuts
        if self._place >= tail or cuts is None or cuts.is_full:
            return None
        number, offset = self._place
        segments = self.journal.segments
        segment = segments.get(number)
        if segment is None or (number < tail[0] and offset >= segment.end):
            number, offset = min(one for one in list(segments) if one > number), 0
            segment = segments[number]
        start = max(offset, segment.first)
        end = tail[1] if number == tail[0] else segment.end
        if start >= end:
            self._place = (number, end)
            return self._piece()
        return segment, take_slice(segment, start, end, is_trusted=self.journal.is_trusted, damage=self.damage)

    def _number(self, segment: Segment, piece: JournalSlice, events: list[EncodedEvent]) -> list[OutgoingRecord]:
        cut = BatchBoundary(
            segment=segment.number,
            start=piece.start,
            end=piece.end,
            events=len(events),
            seq=self.batches,
            # Whoever ships a left journal, or a copy of it, cuts it at the same places and times.
            time=now() if self.journal.is_trusted else time_of(events[-1].text),
            points=self.points,
            dropped=self.journal.dropped,
        )
        batches = self._encode(cut, events)
        for event, batch in zip(events, batches, strict=True):
            self.is_closed = self.is_closed or event.kind == "producer_closed"
            if lost := event.points + event.values - batch.points - batch.values:
                self.lose(lost)
        cut.crc = crc_of(batches)
        self.points += sum(batch.points for batch in batches)
        self.journal.record(cut, self.points)
        self.batches += len(batches)
        self.values += sum(batch.values for batch in batches)
        return batches

    def encode_whole(self, cut: BatchBoundary) -> list[OutgoingRecord]:
        """Return all batches of an earlier cut, the same bytes as then, unless its records were damaged since."""
        segment = self.journal.segments[cut.segment]
        piece = take_slice(segment, cut.start, cut.end, is_trusted=False)
        return self._encode(cut, encode_events(segment, piece))

    def _encode_again(self) -> list[OutgoingRecord]:
        batches = self.encode_whole(self._again[-1])
        self._again.pop()
        self.is_closed = self.is_closed or _is_last(batches[-1].record)
        return [batch for batch in batches if batch.seq >= self.acknowledged_batches]

    def _encode(self, cut: BatchBoundary, events: list[EncodedEvent]) -> list[OutgoingRecord]:
        if not self._source:
            assert self.journal.cuts is not None
            self._source = source_of(self.journal.run_id, self.journal.cuts.producer)
        points, last = cut.points, (cut.segment, cut.end)
        batches = []
        for number, event in enumerate(events, cut.seq):
            text = _completed(event, number, points, cut.dropped)
            kind, kept, values = event.kind, event.points, event.values
            if len(text) > MAX_RECORD:
                # Kafka would refuse it for ever and everything behind it would wait. Its number is used all the same.
                warn_once("record", f"an event {kind} of {len(text):,} bytes is too large: it is dropped and counted")
                kind, text, kept, values = "heartbeat", f'{{"kind":"heartbeat","time":{cut.time}}}'.encode(), 0, 0
            points += kept
            record = encode_text(self.journal.run_id, self._source, number, cut.time, kind, text)
            place = last if number == cut.seq + len(events) - 1 else None
            batches.append(OutgoingRecord(self, number, record, kept, values, place))
        return batches

    def _discard(self) -> None:
        """Count what other threads emitted while finish() ran."""
        late = 0
        while (rest := self._piece()) is not None:
            segment, piece = rest
            self._place = (segment.number, piece.end)
            late += len(piece.numbers) + len(piece.values)
        if late:
            self.lose(late)

    def _reach(self) -> None:
        markers = self.journal.markers
        if not markers:
            return
        cuts = self.journal.cuts
        reached = self._place if cuts is None or cuts.acknowledged == cuts.cut else self._acknowledged_place(cuts)
        for marker in [marker for marker in list(markers) if marker.place <= reached]:
            markers.remove(marker)
            marker.reached.set()

    @staticmethod
    def _acknowledged_place(cuts: ShippingCursor) -> JournalPosition:
        waiting = cuts.read(cuts.acknowledged)
        return (waiting.segment, waiting.start) if waiting is not None else (0, 0)


def crc_of(batches: Iterable[OutgoingRecord]) -> int:
    """Return the CRC of the bytes of all records, one after the other."""
    crc = 0
    for batch in batches:
        crc = crc32(batch.record.value, crc)
    return crc


def _is_last(record: Record) -> bool:
    return record.value.startswith(b'{"kind":"producer_closed"')


def _completed(event: EncodedEvent, seq: int, points: int, dropped: int) -> bytes:
    """Return the event with the totals that are known only here."""
    if event.kind in ENDINGS:
        return event.text[:-1] + f',"batches":{seq + 1}}}'.encode()
    if event.kind == "producer_closed":
        return event.text[:-1] + f',"batches":{seq + 1},"points":{points},"dropped":{dropped}}}'.encode()
    return event.text
