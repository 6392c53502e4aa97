"""
What calls that were answered with 503 have made already: the client repeats such a call for minutes.
"""

from __future__ import annotations

from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from gateway.client.encoding.wire import Record

KEPT_S = 600.0  # longer than a client repeats a call; later, the same call is another wish
Call = TypeVar("Call", str, bytes)
Made = TypeVar("Made")


class Asked(NamedTuple):
    """A request about the registry that may be in the log: what it is about, its producer, and its record."""

    subject_id: str
    producer: str
    record: Record


class Unanswered(Generic[Call, Made]):
    """What each of these calls made, by the content of the call; at most `most`, without those kept the longest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[Call, tuple[float, Made]] = {}

    def keep(self, call: Call, made: Made) -> None:
        """Keep what a call made for its repetition."""
        if len(self._kept) >= self._most:
            self._kept.pop(next(iter(self._kept)))
        self._kept[call] = monotonic(), made

    def pop(self, call: Call) -> Made | None:
        """Return what an earlier call with this content made, unless that is too long ago to be repeated."""
        kept = self._kept.pop(call, None)
        return kept[1] if kept is not None and monotonic() - kept[0] < KEPT_S else None
