"""
Poll the log for how far a consumer is behind.

It uses a separate connection: if a consumer and its own connection stop working, its lag is still shown, and a lag
that grows while nothing moves is what makes the consumer unhealthy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from consumers.log.watermarks import Bounds
from consumers.telemetry.health import Pulse, TimeLag
from consumers.telemetry.metrics import LagMetrics
from schemas.errors import LogUnavailable

POLL_S = 1.0

Offsets = Mapping[int, int]


class LagWatch:
    """Updates the lag metrics and the pulse of one consumer."""

    def __init__(self, pulse: Pulse, metrics: LagMetrics) -> None:
        self.lag = TimeLag()
        self._pulse, self._metrics = pulse, metrics
        self._bounds = Bounds({}, {})

    def applied(self, partition: int, time_ms: int) -> None:
        """Record Kafka's timestamp of the last applied record of a partition, ms since 1970."""
        self.lag.applied_at[partition] = time_ms / 1_000

    async def run(self, ask: Callable[[], Awaitable[Bounds]], positions: Callable[[], Offsets]) -> None:
        """Poll until cancelled: `ask` asks the log for its bounds, `positions` returns the consumer's next offsets."""
        while True:
            try:
                self._bounds = await ask()
            except LogUnavailable as error:  # no new records can arrive then
                self._pulse.log_asked(time.monotonic(), str(error))
            else:
                self._pulse.log_asked(time.monotonic())
            self._look(positions())
            await asyncio.sleep(POLL_S)

    def _look(self, positions: Offsets) -> None:
        behind = self._bounds.behind(positions, positions)
        if any(behind.values()):
            self._pulse.records_wait()
        else:
            self._pulse.idle(time.monotonic())
        applied_at = {part: at for part, at in self.lag.applied_at.items() if part in positions}
        self._metrics.show(behind, self.lag.seconds(behind, time.time()), positions, applied_at)
