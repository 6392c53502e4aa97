"""
Heartbeats: a producer that has cut nothing for 30 s appends one.

Without them, a waiting process could not be distinguished from one that died silently. Heartbeats go through the
journal like every event, in order and numbered, but only while the log is reachable: they do not fill the disk during
an outage.
"""

from __future__ import annotations

from time import time_ns

from gateway.client.journal.entries import JournalEvent
from gateway.client.journal.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class Beating(Protocol):
        """A producer of this process, or what stands for it while an agent ships its journal."""

        @property
        def journal(self) -> object:
            """The journal."""

        @property
        def records(self) -> int:
            """Number of records cut."""

        @property
        def is_closed(self) -> bool:
            """Whether the end of the producer is cut."""


EVERY_S = 30.0  # readers declare a run lost after 90 s of silence


class Heartbeats:
    """The time of each producer's last activity. For the shipper's thread."""

    def __init__(self) -> None:
        self._active: dict[Beating, tuple[int, float]] = {}  # records cut by then, and when (monotonic s)

    def beat(self, producers: Iterable[Beating], now: float) -> None:
        """Append a heartbeat for each producer without a cut for EVERY_S, if this process writes its open journal."""
        active: dict[Beating, tuple[int, float]] = {}
        for producer in producers:
            journal = producer.journal
            # Skip producers that have sent nothing, and recovered journals, which have no live process.
            if not isinstance(journal, Journal) or not producer.records or producer.is_closed:
                continue
            records, at = self._active.get(producer, (-1, now))
            if records != producer.records or (now - at >= EVERY_S and _append_heartbeat(journal)):
                at = now
            active[producer] = (producer.records, at)
        self._active = active


def _append_heartbeat(journal: Journal) -> bool:
    return journal.try_append(JournalEvent({"kind": "heartbeat", "time": time_ns() // 1_000}))
