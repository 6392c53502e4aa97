"""
The events of one producer: those that this process writes about one run, numbered from 0 without gaps.

Pure. A producer that has reported its totals writes no more: the next event of the run belongs to another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from gateway.client.encoding.wire import Record, encode_text, source_of
from gateway.server.mlflow.runs.events import EncodedBody

ENDS = ("run_finished", "run_failed", "run_killed")


class RunProducer:
    """Numbers the events of a run and counts what is in them."""

    __slots__ = ("_source", "is_closed", "points", "records", "run_id")

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.records = self.points = 0
        self.is_closed = False
        self._source = source_of(run_id, uuid4().hex)

    def number(self, bodies: Iterable[EncodedBody], time: int) -> list[Record]:
        """Return the records of events that are written now (`time`, µs)."""
        return [self._record(kind, text, points, time) for kind, text, points in bodies]

    def close(self, time: int) -> Record:
        """Return the last record: how much this producer wrote, from which a reader sees whether all is there."""
        self.is_closed = True
        totals = f'"batches":{self.records + 1},"points":{self.points},"dropped":0'
        return self._record("producer_closed", f'{{"kind":"producer_closed","time":{time},{totals}}}'.encode(), 0, time)

    def substitute(self, record: Record) -> Record:
        """Return a record that takes the number of one that Kafka will never accept, so that no number is missing."""
        number = int(dict(record.headers)["ce_id"])
        text = f'{{"kind":"heartbeat","time":{record.time}}}'.encode()
        return encode_text(self.run_id, self._source, number, record.time, "heartbeat", text)

    def preview(self, kind: str, text: bytes, time: int) -> Record:
        """Return the record that an event would have, without giving it a number."""
        return encode_text(self.run_id, self._source, self.records, time, kind, text)

    def _record(self, kind: str, text: bytes, points: int, time: int) -> Record:
        number = self.records
        self.records, self.points = number + 1, self.points + points
        if kind in ENDS:
            text = text[:-1] + f',"batches":{number + 1}}}'.encode()
        return encode_text(self.run_id, self._source, number, time, kind, text)
