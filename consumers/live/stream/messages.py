"""
Messages of the event stream: a record of the log as JSON in a server-sent event.

Pure: no clock, no I/O. A message is created once per record and shared by all subscribers; its text is rendered when
the first subscriber needs it. Numbers that JSON cannot represent are strings, as in schemas/columns.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import orjson

from consumers.live.stream.positions import write_positions
from consumers.log.record import Record
from schemas.columns import dump_floats
from schemas.errors import BadRecord
from schemas.events import MetricRows, Points, Series
from schemas.names import series_name
from schemas.wire import Envelope, decode_run

Detail = Literal["all", "last"]

# A sign of life that a page notices: it has a name, so a reader of events without one skips it.
HEARTBEAT = b"event: alive\ndata:\n"
MAX_WRITE_BYTES = 256 * 1024  # in one write to the socket
# Kinds that a list of runs displays. Of every other kind it needs to know only that something happened.
_BRIEF_KINDS = frozenset(
    {
        "run_created",
        "run_started",
        "run_resumed",
        "run_reopened",
        "run_finished",
        "run_failed",
        "run_killed",
        "tags",
        "deleted",
        "renamed",
        "lifecycle_stage",
        "moved",
    }
)


class Message:
    """One event with its position in the log."""

    __slots__ = ("_names", "_texts", "envelope", "made", "offset", "partition", "run_id", "size")

    def __init__(self, envelope: Envelope, partition: int, offset: int, size: int) -> None:
        self.envelope = envelope
        self.run_id: str = envelope.run_id
        self.partition = partition
        self.offset = offset
        self.size = size  # bytes of the record's value; a queue counts these
        self.made: dict[int, Any] = {}  # by series, what readers of series share (consumers/live/feeds/rows.py)
        self._names: list[str] | None = None
        self._texts: dict[Detail, bytes] = {}

    @property
    def series_names(self) -> list[str]:
        """The written names of the series of its points."""
        if self._names is None:
            event, self._names = self.envelope.event, []
            if isinstance(event, Points):
                self._names = [series_name(one.name, one.labels, event.step_name) for one in event.series]
        return self._names

    def text(self, detail: Detail) -> bytes:
        """Return the event as JSON on one line. "last" keeps only the newest point of each series."""
        found = self._texts.get(detail)
        if found is None:
            found = self._texts[detail] = orjson.dumps(self.document(detail))
        return found

    def document(self, detail: Detail) -> dict[str, Any]:
        """Return the event as a JSON object."""
        event = self.envelope.event
        document = {
            "run_id": self.run_id,
            "kind": "metrics" if isinstance(event, MetricRows) else event.kind,  # both are shown as series
            "partition": self.partition,
            "offset": self.offset,
            "producer": self.envelope.producer,
            "seq": self.envelope.seq,
            "time": event.time,
        }
        if isinstance(event, Points):
            document |= {"step_name": event.step_name, "attempt": event.attempt}
            document["series"] = [_series(series, event.step_name, detail) for series in event.series]
        elif detail == "all" or event.kind in _BRIEF_KINDS:
            document = event.model_dump(mode="json") | document
        return document


def frame(text: bytes, position: str) -> bytes:
    """Return one server-sent event, which a browser passes to `onmessage`, with the position to resume from."""
    return b"id: %b\ndata: %b\n\n" % (position.encode(), text)


def mark(position: str, *, retry_ms: int | None = None) -> bytes:
    """Return a frame that no page sees, but from whose position a browser resumes when it reconnects."""
    retry = b"" if retry_ms is None else b"retry: %d\n" % retry_ms
    return b"%bid: %b\n\n" % (retry, position.encode())


def frames(messages: Sequence[Message], positions: dict[int, int], detail: Detail) -> list[bytes]:
    """
    Return the frames of the messages from `positions` on and advance them; frames are joined for few, large writes.

    Messages below the positions were sent before and are skipped.
    """
    chunks: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for message in messages:
        if message.offset < positions.get(message.partition, 0):  # absent: the topic got this partition meanwhile
            continue
        positions[message.partition] = message.offset + 1
        waiting.append(frame(message.text(detail), write_positions(positions)))
        size += len(waiting[-1])
        if size >= MAX_WRITE_BYTES:
            chunks.append(b"".join(waiting))
            waiting, size = [], 0
    if waiting:
        chunks.append(b"".join(waiting))
    return chunks


def _series(series: Series, step_name: str, detail: Detail) -> dict[str, Any]:
    count = len(series.steps)
    points = list(zip(series.steps, series.times, dump_floats(series.values), strict=True))
    if detail == "last":
        points = points[-1:]
    return {
        "series": series_name(series.name, series.labels, step_name),
        "name": series.name,
        "labels": series.labels,
        "count": count,
        "points": points,
    }


def key_text(record: Record) -> str | None:
    """Return the record's key, the run id of an event; None when it is not text."""
    try:
        return record.key.decode() if record.key else None
    except UnicodeDecodeError:
        return None


def to_message(record: Record) -> Message | None:
    """Return the event of a record, None for a record that is not an event."""
    try:
        envelope = decode_run(record.key, record.value, record.headers)
    except BadRecord:
        return None
    return Message(envelope, record.partition, record.offset, len(record.value or b""))
