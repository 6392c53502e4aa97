"""
The ids of the rows of a trackio project, and its instants.

Pure. An id says which envelope a row came from, so that the same envelope always gives the same rows, and what trackio
has no column for, so that it can be read back: the attempt, the named step, the step of system metrics. `gw-`, a hash
of run and producer, the number of the envelope, then letters with numbers.
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
LATEST = 253_402_300_799_999_999  # µs: 9999-12-31T23:59:59.999999Z, the last instant that ISO 8601 writes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = re.compile(r"(gw-.{16}-\d+)([mvy])(\d+)(?:a(\d+))?(?:p(\d+))?(?:l(\d+))?(?:s(-?\d+))?(?:t(\d+))?")


class RowId(NamedTuple):
    """What the id of a row says."""

    envelope: str  # see `batch_id`
    kind: str  # METRIC, OBSERVED, SYSTEM
    number: int  # of the row, in its envelope
    attempt: int = 1
    prefix: int = 0  # characters of written names that are the named step
    length: int = 0  # ... and then of the name; 0: it ends where labels begin, with the first brace
    step: int | None = None  # of system metrics, whose table has no column for it
    time: int | None = None  # µs, of what is after the year 9999

    def __str__(self) -> str:
        more = f"a{self.attempt}" if self.attempt != 1 else ""
        more += f"p{self.prefix}" if self.prefix else ""
        more += f"l{self.length}" if self.length else ""
        more += f"s{self.step}" if self.step is not None else ""
        more += f"t{self.time}" if self.time is not None else ""
        return f"{self.envelope}{self.kind}{self.number}{more}"

    def split(self, written: str) -> tuple[str, str, str]:
        """Return named step, name and labels of a written name, as it writes them."""
        rest = written[self.prefix :]
        name = rest[: self.length] if self.length else rest.partition("{")[0]
        return written[: self.prefix], name, rest[len(name) :]


def parse(log_id: str | None) -> RowId | None:
    """Return what an id says; None for a row that is not ours, or has no metrics."""
    found = _ID.fullmatch(log_id or "")
    if found is None:
        return None
    envelope, kind, *numbers = found.groups()
    number, attempt, prefix, length, step, time = (None if one is None else int(one) for one in numbers)
    return RowId(envelope, kind, number or 0, attempt or 1, prefix or 0, length or 0, step, time)


def envelope_id(envelope: Envelope) -> str:
    """Return what the ids of an envelope's rows begin with."""
    return f"gw-{_digest(envelope.run_id, envelope.producer)}-{envelope.seq}"


def start_id(run_id: str) -> str:
    """Return the id of the row without metrics that every run of ours has, so that trackio lists it from its start."""
    return f"gw-{_digest(run_id, '')}-start"


def instant(time: int) -> str:
    """Return µs as trackio writes instants; what is after the year 9999 as its end."""
    seconds, rest = divmod(min(time, LATEST), 1_000_000)
    return f"{_second(seconds)}.{rest:06d}+00:00"


def exact_instant(time: int) -> str:
    """Return µs as an instant, or as seconds after the year 9999."""
    return instant(time) if time <= LATEST else f"{time // 1_000_000}.{time % 1_000_000:06d}"


def microseconds(text: str) -> int:
    """Return the µs of an instant, as `exact_instant` or trackio wrote it."""
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
