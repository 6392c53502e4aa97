"""
Requests about the registry whose calls were answered with 503: the client repeats such a call for minutes.
"""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

from gateway.client.encoding.wire import Record

KEPT_S = 600.0  # longer than a client repeats a call; later, the same call is another wish
MAX_KEPT = 100  # of up to 1 MB


class Asked(NamedTuple):
    """A request that may be in the log: what it is about, its producer, and its record."""

    subject_id: str
    producer: str
    record: Record


class UnansweredRequests:
    """Requests by the content of their call."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Asked]] = {}

    def keep(self, call: str, asked: Asked) -> None:
        """Keep a request for the call that its client repeats."""
        if len(self._kept) >= MAX_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[call] = monotonic(), asked

    def pop(self, call: str) -> Asked | None:
        """Return the request of an earlier call with this content."""
        kept_at, asked = self._kept.pop(call, (0.0, None))
        return asked if monotonic() - kept_at < KEPT_S else None
