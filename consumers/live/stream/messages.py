"""
A record of the log as a message of the event stream.

Pure: no clock, no I/O. A message is made once for each record and shared by every subscriber; its text is made
when the first subscriber asks for it. Numbers that JSON cannot hold are strings, as in schemas/columns.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import orjson

from consumers.live.stream.positions import write_positions
from schemas.columns import dump_floats
from schemas.events import Metrics, Series, SystemMetrics
from schemas.names import series_name
from schemas.wire import Envelope

Detail = Literal["all", "last"]

HEARTBEAT = b": alive\n"
MAX_WRITE_BYTES = 256 * 1024  # handed to the socket at once
# What a list of runs shows. Of every other kind it needs to know only that something happened.
_BRIEF_KINDS = frozenset(
    {
        "run_created",
        "run_started",
        "run_resumed",
        "run_finished",
        "run_failed",
        "run_killed",
        "tags",
        "deleted",
        "renamed",
    }
)


class Message:
    """One event with its place in the log."""

    __slots__ = ("_texts", "envelope", "offset", "partition", "run_id", "size")

    def __init__(self, envelope: Envelope, partition: int, offset: int, size: int) -> None:
        self.envelope = envelope
        self.run_id: str = envelope.run_id
        self.partition = partition
        self.offset = offset
        self.size = size  # bytes of the record's value: what a queue counts
        self._texts: dict[Detail, bytes] = {}

    def text(self, detail: Detail) -> bytes:
        """Return the event as JSON on one line. "last" keeps of each series its newest point only."""
        found = self._texts.get(detail)
        if found is None:
            found = self._texts[detail] = orjson.dumps(self.document(detail))
        return found

    def document(self, detail: Detail) -> dict[str, Any]:
        """Return the event as a JSON object."""
        event = self.envelope.event
        document = {
            "run_id": self.run_id,
            "kind": event.kind,
            "partition": self.partition,
            "offset": self.offset,
            "producer": self.envelope.producer,
            "seq": self.envelope.seq,
            "time": event.time,
        }
        if isinstance(event, Metrics | SystemMetrics):
            document |= {"step_name": event.step_name, "attempt": event.attempt}
            document["series"] = [_series(series, event.step_name, detail) for series in event.series]
        elif detail == "all" or event.kind in _BRIEF_KINDS:
            document = event.model_dump(mode="json") | document
        return document


def frame(text: bytes, position: str) -> bytes:
    """Return one server-sent event: what a browser hands to `onmessage`, with the position to go on from."""
    return b"id: %b\ndata: %b\n\n" % (position.encode(), text)


def mark(position: str, *, retry_ms: int | None = None) -> bytes:
    """Return a frame that no page sees, but from which a browser that reconnects goes on."""
    retry = b"" if retry_ms is None else b"retry: %d\n" % retry_ms
    return b"%bid: %b\n\n" % (retry, position.encode())


def frames(messages: Sequence[Message], positions: dict[int, int], detail: Detail) -> list[bytes]:
    """
    Return the frames of messages from `positions` on, moving them, joined to what is good to write at once.

    Messages below the positions were sent before and are passed over.
    """
    chunks: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for message in messages:
        if message.offset < positions[message.partition]:
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
