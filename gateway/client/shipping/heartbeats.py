"""
Signs of life: a producer that has nothing to say says so every 30 s.

Without them nobody could tell a process that waits from one that died silently. They go through the journal like every
event, in their place and numbered, but only while the log is reached: an outage does not fill the disk with them.
"""

from __future__ import annotations

from time import time_ns

from gateway.client.journal.entries import JournalEvent
from gateway.client.journal.journal import Journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.client.shipping.producer import Producer

EVERY_S = 30.0  # readers call a run lost after 90 s of silence


class Heartbeats:
    """When each producer was last heard. For the shipper's thread."""

    def __init__(self) -> None:
        self._heard: dict[Producer, tuple[int, float]] = {}  # batches cut by then, and when (monotonic s)

    def beat(self, producers: Iterable[Producer], now: float) -> None:
        """Let those speak that cut nothing for EVERY_S. Only what this process writes itself, and before its end."""
        heard: dict[Producer, tuple[int, float]] = {}
        for producer in producers:
            journal = producer.journal
            # One that never said anything is nobody yet, and what somebody left has no life.
            if not isinstance(journal, Journal) or not producer.batches or producer.is_closed:
                continue
            batches, at = self._heard.get(producer, (-1, now))
            if batches != producer.batches or (
                now - at >= EVERY_S
                and journal.try_append(JournalEvent({"kind": "heartbeat", "time": time_ns() // 1_000}))
            ):
                at = now
            heard[producer] = (producer.batches, at)
        self._heard = heard
