"""
Obey what people order about a tracker, and say whether it answers.

A task beside the loop asks PostgreSQL a few times a second: orders survive restarts because they are rows. While
PostgreSQL is away the last orders hold.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from consumers.delivery.flow.circuit_breaker import Circuit
from consumers.delivery.plugins.threads import reason
from consumers.store.delivery.orders import CircuitReport, Orders, RereadPosition, Trackers
from consumers.telemetry.instruments import DeliveryWatch
from schemas.errors import StoreUnavailable, TrackerUnavailable

POLL_S = 0.25


class Control:
    """Orders of one tracker and its circuit."""

    def __init__(self, trackers: Trackers, tracker: str, watch: DeliveryWatch) -> None:
        self._trackers, self._tracker, self._watch = trackers, tracker, watch
        self._obeyed = Orders(number=-1)
        self._reported: CircuitReport | None = None
        self.circuit = Circuit()

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be delivered now."""
        return self._obeyed.paused

    async def look(self, read_again: Callable[[Mapping[str, RereadPosition]], Awaitable[None]]) -> None:
        """Take in new orders; `read_again` gets all runs that are behind when there may be more. Tell the circuit."""
        orders = await self._trackers.orders(self._tracker)
        if orders.number != self._obeyed.number:
            await read_again(await self._trackers.rereads(self._tracker))
        self._obeyed = orders
        if self._reported is None:
            self._reported = await self._trackers.reported(self._tracker)
            self._go_on_waiting(self._reported)
        report = _report(self.circuit)
        if report != self._reported:
            await self._trackers.report(self._tracker, report)
            self._reported = report
        self._watch.delivery.set_state(is_open=self.circuit.state != "closed", is_paused=orders.paused)

    async def run(self, read_again: Callable[[Mapping[str, RereadPosition]], Awaitable[None]]) -> None:
        """Look again and again until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.look(read_again)
            except StoreUnavailable:
                continue  # the loop says that it is away; the last orders hold

    def _go_on_waiting(self, last: CircuitReport) -> None:
        """Leave a tracker alone for as long as it asked an earlier process for."""
        left = last.retry_at.timestamp() - time.time() if last.retry_at else 0.0
        if left > 0:
            self.circuit.failed("*", last.error, time.monotonic(), jitter=1.0, retry_after_s=left)

    def failed(self, run_id: str, error: TrackerUnavailable) -> None:
        """Note that a call did not reach the tracker, or had no answer."""
        after = error.retry_after_s
        if not isinstance(after, int | float) or not math.isfinite(after):
            after = None  # a plug-in's own words
        self.circuit.failed(run_id, reason(error), time.monotonic(), jitter=random.random(), retry_after_s=after)


def _report(circuit: Circuit) -> CircuitReport:
    if circuit.state == "closed":
        return CircuitReport()
    return CircuitReport(circuit.state, _instant(circuit.since), _instant(circuit.retry_at), circuit.error)


def _instant(monotonic_s: float) -> datetime:
    """Return the time of day of a monotonic moment, to the second: asked again, it is the same."""
    return datetime.fromtimestamp(round(time.time() + monotonic_s - time.monotonic()), UTC)
