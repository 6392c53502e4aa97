"""
A producer: the numbered records cut from one journal.

Records are numbered from 0 without gaps when they are cut, and each cut is written down before anything is sent.
Whatever happens afterwards, the same number always means the same bytes. A producer runs in the shipper's thread;
other threads read its counters.
"""

from __future__ import annotations

import os
from zlib import crc32

from gateway.client.encoding.values import now
from gateway.client.encoding.wire import MAX_RECORD, encode_text, source_of
from gateway.client.journal.cursor import CUT_CLOSED, BatchBoundary
from gateway.client.journal.entries import time_of
from gateway.client.journal.journal import Journal
from gateway.client.journal.series import ENDINGS
from gateway.client.notices import warn_once
from gateway.client.shipping.batching import encode_events, take_slice
from gateway.client.shipping.markers import set_markers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.client.encoding.wire import Record
    from gateway.client.journal.cursor import ShippingCursor
    from gateway.client.journal.readable import JournalPosition, ReadableJournal
    from gateway.client.journal.segment import Segment
    from gateway.client.shipping.batching import EncodedEvent, JournalSlice

FULL_CUT_BYTES = 40_000  # of 1,000 points


class OutgoingRecord:
    """A record that is not acknowledged yet: its producer, its number and its content."""

    __slots__ = ("cut_end", "points", "producer", "record", "seq", "values")

    def __init__(
        self, producer: Producer, seq: int, record: Record, points: int, values: int, cut_end: JournalPosition | None
    ) -> None:
        self.producer = producer
        self.seq = seq
        self.record = record
        self.points = points
        self.values = values
        self.cut_end = cut_end  # the end of its cut; None when more records of the cut follow


class Producer:
    """Cuts one journal into numbered records and counts how many are acknowledged."""

    def __init__(self, journal: ReadableJournal) -> None:
        cursor = journal.cursor
        self.journal = journal
        self.records = 0  # records cut, by this process or by an earlier one
        self.points = 0  # metric points cut
        self.values = 0  # other values cut by this process
        self.acknowledged_points = 0
        self.acknowledged_values = 0
        self.acknowledged_records = 0
        self.lost = 0  # points and values that were in the journal; the journal alone counts those it refused
        self.is_closed = False  # producer_closed is cut: nothing can follow
        self._source = b""
        self._position: JournalPosition = (0, 0)  # everything before it is cut
        self._tail: JournalPosition = (0, 0)  # records after it wait for the next turn
        self._to_repeat: list[BatchBoundary] = []  # cuts of an earlier process, not acknowledged, last first
        if cursor is not None:
            self._resume(cursor)

    def cut(self, limit: int) -> list[OutgoingRecord]:
        """Cut about `limit` points, values and events from the journal and return their records, in order."""
        records: list[OutgoingRecord] = []
        taken, self._tail = 0, self.journal.tail()
        while taken < limit:
            try:
                found = self._repeat_cut() if self._to_repeat else self._cut_next()
            except Exception:  # records that are cut already must be sent; the next turn meets the error again
                if not records:
                    raise
                break
            if found is None:
                break
            records += found
            taken += sum(record.points + record.values for record in found) + 1
        self._set_markers()
        return records

    @property
    def has_full_cut(self) -> bool:
        """Whether more than one full cut can be made now."""
        cursor, (number, end) = self.journal.cursor, self.journal.tail()
        if self._to_repeat:
            return True
        if self.is_closed or cursor is None or cursor.is_full:
            return False
        return self._position[0] < number or end - self._position[1] >= FULL_CUT_BYTES

    def acknowledge(self, records: Iterable[OutgoingRecord]) -> None:
        """Count records of this producer that the log has."""
        seq, cuts, position, points, values = 0, 0, None, 0, 0
        for record in records:
            seq = record.seq + 1
            points += record.points
            values += record.values
            if record.cut_end is not None:
                cuts, position = cuts + 1, record.cut_end
        self.acknowledged_points += points
        self.acknowledged_values += values
        self.acknowledged_records = seq
        self.journal.acknowledge(seq, cuts, position, points, values)
        self._set_markers()
        if self.is_done:
            self.journal.remove()

    def count_lost(self, count: int) -> None:
        """Count points or values of the journal that the log will never have."""
        self.lost += count
        self.journal.count_lost(count)

    @property
    def is_done(self) -> bool:
        """Whether everything this producer will ever send is acknowledged."""
        return self.is_closed and self.is_settled

    @property
    def is_settled(self) -> bool:
        """Whether everything that is cut is acknowledged."""
        return self.acknowledged_records == self.records and not self._to_repeat

    def _resume(self, cursor: ShippingCursor) -> None:
        """Continue where an earlier process stopped."""
        self._position, self.points = cursor.end, cursor.points
        numbers = range(cursor.acknowledged, cursor.cuts)
        self._to_repeat = [found for found in map(cursor.read, reversed(numbers)) if found is not None]
        self.records = self.acknowledged_records = cursor.seq
        if self._to_repeat:
            last = self._to_repeat[0]
            self.records = last.seq + last.events
        if self.journal.is_trusted:  # an agent, or this process, sent the first part of it
            self.acknowledged_points, self.acknowledged_values = cursor.acknowledged_points, cursor.acknowledged_values
            self.lost, self.is_closed = cursor.lost, bool(cursor.flags & CUT_CLOSED)

    def _cut_next(self) -> list[OutgoingRecord] | None:
        while not self.is_closed:
            found = self._next_slice()
            if found is None:
                return None
            segment, piece = found
            events = encode_events(segment, piece)
            records = self._record_cut(segment, piece, events) if events else []
            if not events and piece.lost:
                self.count_lost(piece.lost)
            self._position = (segment.number, piece.end)  # last: after an error the same slice is cut again
            if records:
                return records
        self._discard_rest()
        return None

    def _next_slice(self) -> tuple[Segment, JournalSlice] | None:
        """Return the next slice with its segment; None when there is none, or too many cuts wait for the log."""
        tail, cursor = self._tail, self.journal.cursor
        if self._position >= tail or cursor is None or cursor.is_full:
            return None
        number, offset = self._position
        segments = self.journal.segments
        segment = segments.get(number)
        if segment is None or (number < tail[0] and offset >= segment.end):
            number, offset = min(one for one in list(segments) if one > number), 0
            segment = segments[number]
        start = max(offset, segment.first)
        end = tail[1] if number == tail[0] else segment.end
        if start >= end:
            self._position = (number, end)
            return self._next_slice()
        return segment, take_slice(segment, start, end, is_trusted=self.journal.is_trusted)

    def _record_cut(self, segment: Segment, piece: JournalSlice, events: list[EncodedEvent]) -> list[OutgoingRecord]:
        """Number the events of a slice, write the cut down, and return the records."""
        boundary = BatchBoundary(
            segment=segment.number,
            start=piece.start,
            end=piece.end,
            events=len(events),
            seq=self.records,
            # Every process that ships an orphaned journal, or a copy of it, makes the same cuts with the same times.
            time=now() if self.journal.is_trusted else time_of(events[-1].text),
            points=self.points,
            dropped=self.journal.dropped + piece.lost,
        )
        records = self._encode(boundary, events)
        boundary.crc = crc_of(records)
        points = sum(record.points for record in records)
        values = sum(record.values for record in records)
        is_last = any(event.kind == "producer_closed" for event in events)
        self.journal.record_cut(boundary, self.points + points, is_last=is_last)
        # Only now: had the cut failed, a producer that counts as closed would delete a journal that is not sent.
        self.points += points
        self.records += len(records)
        self.values += values
        self.is_closed = self.is_closed or is_last
        if lost := piece.lost + sum(event.points + event.values for event in events) - points - values:
            self.count_lost(lost)
        return records

    def encode_cut(self, boundary: BatchBoundary) -> list[OutgoingRecord]:
        """Return all records of an earlier cut: the same bytes as then, unless its records were damaged since."""
        segment = self.journal.segments[boundary.segment]
        piece = take_slice(segment, boundary.start, boundary.end, is_trusted=False)
        return self._encode(boundary, encode_events(segment, piece))

    def _repeat_cut(self) -> list[OutgoingRecord]:
        records = self.encode_cut(self._to_repeat[-1])
        if crc_of(records) != self._to_repeat[-1].crc:  # no identity may have two contents
            raise ValueError("a cut cannot be repeated: its records, or what encodes them, are not the same any more")
        self._to_repeat.pop()
        self.is_closed = self.is_closed or _is_last(records[-1].record)
        return [record for record in records if record.seq >= self.acknowledged_records]

    def _encode(self, boundary: BatchBoundary, events: list[EncodedEvent]) -> list[OutgoingRecord]:
        if not self._source:
            assert self.journal.cursor is not None
            self._source = source_of(self.journal.run_id, self.journal.cursor.producer)
        points, end = boundary.points, (boundary.segment, boundary.end)
        records = []
        for seq, event in enumerate(events, boundary.seq):
            text = _add_totals(event, seq, points, boundary.dropped)
            kind, kept, values = event.kind, event.points, event.values
            if len(text) > MAX_RECORD:
                # Kafka would refuse it for ever and everything after it would wait. Its number is used anyway.
                warn_once("record", f"an event {kind} of {len(text):,} bytes is too large: it is dropped and counted")
                kind, text, kept, values = "heartbeat", f'{{"kind":"heartbeat","time":{boundary.time}}}'.encode(), 0, 0
            points += kept
            record = encode_text(self.journal.run_id, self._source, seq, boundary.time, kind, text)
            cut_end = end if seq == boundary.seq + len(events) - 1 else None
            records.append(OutgoingRecord(self, seq, record, kept, values, cut_end))
        return records

    def _discard_rest(self) -> None:
        """Count as lost what other threads emitted while finish() ran."""
        late = 0
        while (rest := self._next_slice()) is not None:
            segment, piece = rest
            self._position = (segment.number, piece.end)
            late += piece.count
        if late:
            self.count_lost(late)

    def _set_markers(self) -> None:
        """Set each marker whose preceding records are all acknowledged."""
        cursor = self.journal.cursor
        if cursor is not None and cursor.acknowledged == cursor.cuts and cursor.end < self._position:
            self.journal.pass_over(self._position)
        set_markers(self.journal.markers, (0, 0) if cursor is None else cursor.reached)


def crc_of(records: Iterable[OutgoingRecord]) -> int:
    """Return the CRC32 of the values of all records, concatenated."""
    crc = 0
    for record in records:
        crc = crc32(record.record.value, crc)
    return crc


def _is_last(record: Record) -> bool:
    return record.value.startswith(b'{"kind":"producer_closed"')


def _add_totals(event: EncodedEvent, seq: int, points: int, dropped: int) -> bytes:
    """Return the JSON of the event, with the totals of its producer when it is an ending."""
    if event.kind in ENDINGS:
        return event.text[:-1] + f',"batches":{seq + 1}}}'.encode()
    if event.kind == "producer_closed":
        return event.text[:-1] + f',"batches":{seq + 1},"points":{points},"dropped":{dropped}}}'.encode()
    return event.text


def finished_journals(producers: Iterable[Producer]) -> list[tuple[Producer, Journal]]:
    """Return those of this process that nothing is recorded into any more, whole on the disk, oldest first."""
    journals = [(one, one.journal) for one in list(producers) if isinstance(one.journal, Journal)]
    return [(one, journal) for one, journal in journals if journal.may_close and _is_on_disk(journal)]


def _is_on_disk(journal: Journal) -> bool:
    """Return whether each segment has its file: the disk had room for it, and nothing has deleted it since."""
    return all(os.path.exists(one.path) for one in list(journal.segments.values()))
