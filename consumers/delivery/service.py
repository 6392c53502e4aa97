"""
Serve one tracker: connect, hold the lease, and run the loop, whatever goes away meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from consumers.delivery.loop import Delivery, Work
from consumers.delivery.plugins.config import call_seconds
from consumers.delivery.plugins.loader import close_tracker, open_tracker
from consumers.delivery.plugins.watchdog import AGAIN, alive, end_process
from consumers.log.reader import LogReader
from consumers.log.retry import RETRY_S, until_available
from consumers.log.security import security_arguments
from consumers.log.topics import ensure_topics
from consumers.log.watermarks import LogBounds
from consumers.store.delivery.checkpoints import Deliveries
from consumers.store.delivery.history import Histories
from consumers.store.delivery.orders import Trackers
from consumers.store.migrations import migrate
from consumers.store.offsets import CONSUMER
from consumers.store.pool import Database, open_database
from consumers.telemetry.instruments import DeliveryWatch
from consumers.trackers.protocol import Tracker
from schemas.errors import LogGap
from schemas.runtime.settings import Settings

log = logging.getLogger("consumers.delivery")

POOL_SIZE = 12


@dataclass(frozen=True)
class Connected:
    """One tracker with everything its delivery needs."""

    settings: Settings
    tracker: Tracker
    database: Database
    deliveries: Deliveries
    trackers: Trackers
    histories: Histories
    bounds: LogBounds
    call_s: float  # longest call to the tracker

    def reader(self) -> LogReader:
        """Return a new reader of the log, to be opened."""
        return LogReader(self.settings.need("kafka"), self.settings.topic, security_arguments(self.settings))


@asynccontextmanager
async def connected(settings: Settings, name: str, away: Callable[[str], object]) -> AsyncIterator[Connected]:
    """Give a tracker, opened, and its services; wait for those that are away, telling `away` once."""
    dsn, kafka = settings.need("postgres"), settings.need("kafka")
    call_s = call_seconds(name, settings)
    tracker = open_tracker(name, settings, call_s, f"delivery {name}")
    database = await until_available(lambda: open_database(dsn, size=POOL_SIZE), away)
    bounds = LogBounds(kafka, settings.topic, security_arguments(settings))
    try:
        await until_available(lambda: migrate(database), away)
        await until_available(lambda: ensure_topics(settings), away)
        deliveries = Deliveries(database, name, settings.topic)
        histories = Histories(database, name, settings.topic, CONSUMER)
        yield Connected(settings, tracker, database, deliveries, Trackers(database), histories, bounds, call_s)
        await close_tracker(tracker)  # not after a failure: a call may be under way
    finally:
        await bounds.close()
        database.terminate()


async def serve(
    services: Connected, stopping: asyncio.Event, ready: Callable[[], None], silent: Callable[[str], None],
    watch: DeliveryWatch,
) -> None:  # fmt: skip
    """
    Deliver everything until told to stop, beginning again after each outage that ends the loop.

    `ready` is called whenever reading begins, `silent` whenever it ends, with the reason.
    """

    async def once() -> None:
        try:
            async with services.deliveries.lease(silent) as lease:
                delivery = Delivery(
                    services.tracker, services.reader, services.deliveries, services.trackers, services.histories,
                    watch, Work(), call_s=services.call_s,
                )  # fmt: skip
                delivery.give_up = lambda why: end_process(
                    f"delivery {services.tracker.name}", why, 0 if stopping.is_set() else AGAIN
                )
                watching = asyncio.create_task(watch.lag.run(services.bounds.ask, delivery.offsets))
                living = asyncio.create_task(alive(services.call_s))
                try:
                    await delivery.run(stopping, ready, lease.is_closed)
                finally:
                    watching.cancel()
                    living.cancel()
        finally:
            silent("")

    while not stopping.is_set():
        try:
            await until_available(once, silent)
        except LogGap as gap:
            if not await _is_overtaken(services):
                raise
            silent(f"{gap}: beginning again, with what is gone from PostgreSQL")
            await asyncio.sleep(RETRY_S)


async def _is_overtaken(services: Connected) -> bool:
    """Tell whether the log begins above what this tracker needs; else it was created anew, and nothing helps."""
    known = await services.deliveries.offsets()
    bounds = await services.bounds.ask()
    return all(known.get(part, 0) <= end for part, end in bounds.end.items()) and any(
        known.get(part, 0) < first for part, first in bounds.first.items()
    )
