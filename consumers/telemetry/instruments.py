"""
Instruments of the consumers: one object for each, passed to the loop that does the work.

The loops report events; these objects turn them into metrics, health and lag. They decide nothing for the loops.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from consumers.log.record import Record
from consumers.telemetry.health import Pulse
from consumers.telemetry.lag import LagWatch
from consumers.telemetry.metrics import AlertMetrics, DeliveryMetrics, FoldMetrics, LagMetrics, MetricsRegistry
from schemas.errors import BadRecord
from schemas.runtime.probes import Probes
from schemas.wire import Envelope, RegistryEnvelope, points_of

NEVER_S = 1e9


class ConsumerWatch:
    """Health and lag of one consumer."""

    def __init__(self, part: str, stall_s: float = NEVER_S) -> None:
        self.metrics = MetricsRegistry(part)
        self.pulse = Pulse(stall_s, time.monotonic())
        self.lag = LagWatch(self.pulse, LagMetrics(self.metrics))

    def probes(self) -> Probes:
        """Return the answers of /metrics, /healthz and /readyz."""
        return Probes(self.metrics.render, lambda: self.pulse.unhealthy(time.monotonic()), self.pulse.unready)

    def reading(self) -> None:
        """Record that reading has begun, possibly of other partitions than before."""
        self.lag.lag.forget()
        self.pulse.consuming = True
        self.pulse.beat(time.monotonic())

    def reading_stopped(self, problem: str = "") -> None:
        """Record that the log is not being read; `problem` says why."""
        self.pulse.consuming = False
        self.pulse.beat(time.monotonic(), problem)

    def waiting(self, problem: str) -> None:
        """Record that an attempt ended because a service is away."""
        self.pulse.beat(time.monotonic(), problem)

    def progressed(self) -> None:
        """Record that an attempt succeeded."""
        self.pulse.beat(time.monotonic())


class FoldWatch(ConsumerWatch):
    """Instruments of the materialiser."""

    def __init__(self, stall_s: float = NEVER_S) -> None:
        super().__init__("materialiser", stall_s)
        self.fold = FoldMetrics(self.metrics)

    def committed(
        self,
        records: Sequence[Record],
        decoded: Sequence[Envelope | RegistryEnvelope | BadRecord],
        *,
        duplicates: Sequence[Envelope],
        strays: Sequence[Envelope | RegistryEnvelope],
        seconds: float,
    ) -> None:
        """
        Record one transaction: its records and what they decoded to.

        `duplicates` are envelopes that had been folded before, `strays` those of which a copy will be folded.
        """
        points = -sum(map(points_of, duplicates)) - sum(map(points_of, strays))
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
        """Return the probes; `held` gives, at each request, the bytes read ahead and whether reading is paused."""

        def render() -> bytes:
            held_bytes, paused = held()
            self.fold.set_read_ahead(held_bytes, paused=paused)
            return self.metrics.render()

        return self.probes()._replace(metrics=render)


class DeliveryWatch(ConsumerWatch):
    """Instruments of one delivery."""

    def __init__(self, tracker: str, stall_s: float = NEVER_S) -> None:
        super().__init__(f"delivery-{tracker}", stall_s)
        self.delivery = DeliveryMetrics(self.metrics)

    def delivered(self, records: list[Record], seconds: float) -> None:
        """Record one successful call of `seconds`."""
        self.lag.applied(records[-1].partition, records[-1].time_ms)
        self.delivery.delivered(len(records), seconds)
        self.progressed()

    def failed(self, reason: str, problem: str = "") -> None:
        """Record one failed call; `reason` is unavailable, refused, raised or hung."""
        self.delivery.failed(reason)
        self.pulse.beat(time.monotonic(), problem)


class AlertsWatch(ConsumerWatch):
    """Instruments of the alerts process."""

    def __init__(self, stall_s: float = NEVER_S) -> None:
        super().__init__("alerts", stall_s)
        self.alerts = AlertMetrics(self.metrics)

    def evaluated(self, records: Sequence[Record], seconds: float) -> None:
        """Record one transaction of `seconds`."""
        for record in records:
            self.lag.applied(record.partition, record.time_ms)
        self.alerts.evaluated(len(records), seconds)
        self.progressed()

    def told(self, severities: Sequence[str | None]) -> None:
        """Record what was stored: the severity of each firing, None for one that was resolved."""
        for severity in severities:
            if severity is None:
                self.alerts.resolved()
            else:
                self.alerts.fired(severity)
