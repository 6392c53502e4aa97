"""
What a consumer tells about its work as it goes: one object each, handed to the loop that does the work.

The loops say what happened; here it becomes metrics, health and lag. Nothing here decides anything for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from consumers.log.record import Record
from consumers.telemetry.health import Pulse
from consumers.telemetry.lag import LagWatch
from consumers.telemetry.metrics import DeliveryMetrics, FoldMetrics, LagMetrics, MetricsRegistry
from schemas.errors import BadRecord
from schemas.runtime.probes import Probes
from schemas.wire import Envelope, points_of

NEVER_S = 1e9


class ConsumerWatch:
    """Health and lag of one consumer."""

    def __init__(self, part: str, stall_s: float = NEVER_S) -> None:
        self.metrics = MetricsRegistry(part)
        self.pulse = Pulse(stall_s, time.monotonic())
        self.lag = LagWatch(self.pulse, LagMetrics(self.metrics))

    def probes(self) -> Probes:
        """Return what this process answers whoever operates it."""
        return Probes(self.metrics.render, lambda: self.pulse.unhealthy(time.monotonic()), self.pulse.unready)

    def reading(self) -> None:
        """Note that reading has begun, maybe of other partitions than before."""
        self.lag.lag.forget()
        self.pulse.consuming = True
        self.pulse.beat(time.monotonic())

    def silent(self, problem: str = "") -> None:
        """Note that the log is not read now."""
        self.pulse.consuming = False
        self.pulse.beat(time.monotonic(), problem)

    def waiting(self, problem: str) -> None:
        """Note that an attempt ended because a service is away."""
        self.pulse.beat(time.monotonic(), problem)

    def progressed(self) -> None:
        """Note that an attempt ended well."""
        self.pulse.beat(time.monotonic())


class FoldWatch(ConsumerWatch):
    """What the materialiser tells."""

    def __init__(self, stall_s: float = NEVER_S) -> None:
        super().__init__("materialiser", stall_s)
        self.fold = FoldMetrics(self.metrics)

    def committed(
        self,
        records: Sequence[Record],
        decoded: Sequence[Envelope | BadRecord],
        *,
        duplicates: Sequence[Envelope],
        seconds: float,
    ) -> None:
        """Note one transaction: its records, what they were decoded to, and what of it had been folded before."""
        points = -sum(map(points_of, duplicates))
        for record, envelope in zip(records, decoded, strict=True):
            self.lag.applied(record.partition, record.time_ms)
            if isinstance(envelope, BadRecord):
                self.fold.parked(type(envelope).__name__)
            else:
                points += points_of(envelope)
                self.fold.skewed(envelope.time / 1e6 - record.time_ms / 1e3)
        self.fold.committed(records=len(records), points=points, duplicates=len(duplicates), seconds=seconds)
        self.progressed()

    def read_ahead(self, held: Callable[[], tuple[int, bool]]) -> Probes:
        """Return the probes, with what `held` says at each question: bytes read ahead, and whether reading pauses."""

        def render() -> bytes:
            held_bytes, paused = held()
            self.fold.holding(held_bytes, paused=paused)
            return self.metrics.render()

        return self.probes()._replace(metrics=render)


class DeliveryWatch(ConsumerWatch):
    """What a delivery tells."""

    def __init__(self, tracker: str, stall_s: float = NEVER_S) -> None:
        super().__init__(f"delivery-{tracker}", stall_s)
        self.delivery = DeliveryMetrics(self.metrics)

    def delivered(self, records: list[Record], seconds: float) -> None:
        """Note one call that the tracker answered."""
        self.lag.applied(records[-1].partition, records[-1].time_ms)
        self.delivery.delivered(len(records), seconds)
        self.progressed()

    def failed(self, reason: str, problem: str = "") -> None:
        """Note one call that failed: `reason` is unavailable, refused or raised."""
        self.delivery.failed(reason)
        self.pulse.beat(time.monotonic(), problem)
