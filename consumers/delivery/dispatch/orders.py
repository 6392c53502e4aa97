"""
Follow what people order about a tracker, and report whether the tracker answers.

A task polls PostgreSQL a few times per second while the loop runs: orders survive restarts because they are rows. While
PostgreSQL is away the last orders stay in force.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from datetime import UTC, datetime

from consumers.delivery.backfill.reread import Rereads
from consumers.delivery.flow.circuit_breaker import CircuitBreaker
from consumers.delivery.plugins.threads import error_text
from consumers.store.delivery.orders import CircuitReport, Orders, Trackers
from consumers.telemetry.instruments import DeliveryWatch
from schemas.errors import StoreUnavailable, TrackerUnavailable

POLL_S = 0.25


class Control:
    """Orders of one tracker, and its circuit."""

    def __init__(self, trackers: Trackers, tracker: str, watch: DeliveryWatch, rereads: Rereads) -> None:
        """Follow the orders of `tracker`; `rereads` gets all runs to re-read whenever there may be more."""
        self._trackers, self._tracker, self._watch, self._rereads = trackers, tracker, watch, rereads
        self._orders = Orders(number=-1)
        self._reported: CircuitReport | None = None
        self.circuit = CircuitBreaker()

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be delivered now."""
        return self._orders.paused

    async def poll(self) -> None:
        """Read new orders and report the circuit. Raises StoreUnavailable."""
        orders = await self._trackers.orders(self._tracker)
        if orders.number != self._orders.number:
            await self._rereads.queue(await self._trackers.rereads(self._tracker))
        self._orders = orders
        if self._reported is None:
            self._reported = await self._trackers.reported(self._tracker)
            self._continue_wait(self._reported)
        report = _report(self.circuit)
        if report != self._reported:
            await self._trackers.report(self._tracker, report)
            self._reported = report
        self._watch.delivery.set_state(is_open=self.circuit.state != "closed", is_paused=orders.paused)

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.poll()
            except StoreUnavailable:
                continue  # the loop logs the outage; the last orders stay in force

    def record_failure(self, run_id: str, error: TrackerUnavailable) -> None:
        """Note that a call did not reach the tracker, or was not answered."""
        after = error.retry_after_s
        if not isinstance(after, int | float) or not math.isfinite(after):
            after = None  # a plug-in may set anything
        text = error_text(error)
        self.circuit.record_failure(run_id, text, time.monotonic(), jitter=random.random(), retry_after_s=after)

    def _continue_wait(self, last: CircuitReport) -> None:
        """Make no call for as long as the tracker asked an earlier process to wait."""
        left = last.retry_at.timestamp() - time.time() if last.retry_at else 0.0
        if left > 0:
            self.circuit.record_failure("*", last.error, time.monotonic(), jitter=1.0, retry_after_s=left)


def _report(circuit: CircuitBreaker) -> CircuitReport:
    if circuit.state == "closed":
        return CircuitReport()
    return CircuitReport(circuit.state, _instant(circuit.since), _instant(circuit.retry_at), circuit.error)


def _instant(monotonic_s: float) -> datetime:
    """Return the time of day of a monotonic time, to the second: a repeated call returns the same."""
    return datetime.fromtimestamp(round(time.time() + monotonic_s - time.monotonic()), UTC)
