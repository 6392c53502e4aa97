"""
The ids of rows in a trackio project, and its instants.

Pure. An id names the event that a row came from, so that the same event always gives the same rows. It also holds what
trackio has no column for, so that it can be read back: the attempt, the named step, the step of system metrics. An id
is `gw-`, a hash of run and producer, the sequence number of the event, then letters with numbers.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from schemas.wire import Envelope

METRIC, OBSERVED, SYSTEM = "m", "v", "y"
LATEST = 253_402_300_799_999_999  # µs: 9999-12-31T23:59:59.999999Z, the last instant that ISO 8601 can write
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(r"(gw-.{16}-\d+)([mvy])(\d+)(?:a(\d+))?(?:p(\d+))?(?:l(\d+))?(?:s(-?\d+))?(?:t(\d+))?")


class RowId(NamedTuple):
    """The content of a row's id."""

    event_id: str  # see `event_id`
    kind: str  # METRIC, OBSERVED, SYSTEM
    number: int  # of the row, in its event
    attempt: int = 1
    prefix: int = 0  # length of the named step in written names, in characters
    length: int = 0  # length of the name after it; 0: it ends at the first brace, where labels begin
    step: int | None = None  # of system metrics, whose table has no column for it
    time: int | None = None  # µs, if it is after the year 9999

    def __str__(self) -> str:
        more = f"a{self.attempt}" if self.attempt != 1 else ""
        more += f"p{self.prefix}" if self.prefix else ""
        more += f"l{self.length}" if self.length else ""
        more += f"s{self.step}" if self.step is not None else ""
        more += f"t{self.time}" if self.time is not None else ""
        return f"{self.event_id}{self.kind}{self.number}{more}"

    def split(self, written: str) -> tuple[str, str, str]:
        """Return named step, name and labels of a written name, in written form."""
        rest = written[self.prefix :]
        name = rest[: self.length] if self.length else rest.partition("{")[0]
        return written[: self.prefix], name, rest[len(name) :]


def parse(log_id: str | None) -> RowId | None:
    """Return the content of an id; None for a row of another writer or without metrics."""
    found = _ID.fullmatch(log_id or "")
    if found is None:
        return None
    event, kind, *numbers = found.groups()
    number, attempt, prefix, length, step, time = (None if one is None else int(one) for one in numbers)
    return RowId(event, kind, number or 0, attempt or 1, prefix or 0, length or 0, step, time)


def event_id(envelope: Envelope) -> str:
    """Return the beginning of the ids of an event's rows."""
    return f"gw-{_digest(envelope.run_id, envelope.producer)}-{envelope.seq}"


def start_id(run_id: str) -> str:
    """Return the id of the row without metrics that each of our runs has, so that trackio lists it from its start."""
    return f"gw-{_digest(run_id, '')}-start"


def to_instant(time: int) -> str:
    """Return µs in trackio's form of an instant; times after the year 9999 become its end."""
    seconds, rest = divmod(min(time, LATEST), 1_000_000)
    return f"{_second(seconds)}.{rest:06d}+00:00"


def to_exact_instant(time: int) -> str:
    """Return µs as an instant; times after the year 9999 as seconds."""
    return to_instant(time) if time <= LATEST else f"{time // 1_000_000}.{time % 1_000_000:06d}"


def from_instant(text: str) -> int:
    """Return the µs of an instant that `to_exact_instant` or trackio wrote."""
    if "T" not in text:
        return int(text.replace(".", ""))
    then = datetime.fromisoformat(text)
    return ((then if then.tzinfo else then.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=4_096)
def _second(seconds: int) -> str:
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"


@lru_cache(maxsize=4_096)
def _digest(run_id: str, producer: str) -> str:
    text = f"{len(run_id)}:{run_id}{producer}".encode()
    return urlsafe_b64encode(blake2b(text, digest_size=12).digest()).decode()
