"""
Serve one tracker: connect, hold the lease, build the delivery, and run it through all outages.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from consumers.delivery.backfill.catch_up import CatchUp
from consumers.delivery.backfill.history import History, HistorySource, claim_incomplete
from consumers.delivery.backfill.reread import Rereads
from consumers.delivery.background import background
from consumers.delivery.dispatch.calls import CallContext, Calls
from consumers.delivery.dispatch.checkpoints import Checkpoints
from consumers.delivery.dispatch.dispatcher import CALL_BYTES, Dispatcher
from consumers.delivery.dispatch.invoke import TrackerInvoker
from consumers.delivery.dispatch.orders import Control
from consumers.delivery.flow.backlog import Backlog
from consumers.delivery.flow.outages import OutageNotices
from consumers.delivery.flow.quarantine import Quarantine
from consumers.delivery.loop import Delivery, Parts, Work
from consumers.delivery.plugins.config import call_seconds
from consumers.delivery.plugins.loader import close_tracker, open_tracker
from consumers.delivery.plugins.threads import Threads
from consumers.delivery.plugins.watchdog import EXIT_RESTART, TrackerHangs, end_process, watch_event_loop
from consumers.log.reader import LogReader, check_length
from consumers.log.retry import RETRY_S, until_available
from consumers.log.security import security_arguments
from consumers.log.topics import ensure_topics
from consumers.log.watermarks import LogBounds
from consumers.store.delivery.checkpoints import Deliveries
from consumers.store.delivery.history import Histories
from consumers.store.delivery.orders import Trackers
from consumers.store.migrations import migrate
from consumers.store.offsets import CONSUMER, last_records
from consumers.store.pool import Database, open_database
from consumers.store.run_partitions import RunPartitions
from consumers.telemetry.instruments import DeliveryWatch
from consumers.trackers.protocol import Tracker, capabilities_of
from schemas.errors import LogGap, LogShorter
from schemas.runtime.settings import Settings

log = logging.getLogger("consumers.delivery")

POOL_SIZE = 12
PARALLEL_RUNS = 8


@dataclass(frozen=True)
class Connected:
    """One tracker with everything its delivery needs."""

    settings: Settings
    tracker: Tracker
    database: Database
    deliveries: Deliveries
    trackers: Trackers
    histories: Histories
    run_partitions: RunPartitions
    bounds: LogBounds
    call_s: float  # timeout of a call to the tracker, s

    def reader(self) -> LogReader:
        """Return a new reader of the log, not opened yet."""
        return LogReader(self.settings.need("kafka"), self.settings.topic, security_arguments(self.settings))


@asynccontextmanager
async def connected(settings: Settings, name: str, on_outage: Callable[[str], object]) -> AsyncIterator[Connected]:
    """Yield a tracker, opened, and its services; wait for those that are away, reporting each outage once."""
    dsn, kafka = settings.need("postgres"), settings.need("kafka")
    call_s = call_seconds(name, settings)
    tracker = open_tracker(name, settings, call_s, f"delivery {name}")
    database = await until_available(lambda: open_database(dsn, size=POOL_SIZE), on_outage)
    bounds = LogBounds(kafka, settings.topic, security_arguments(settings))
    try:
        await until_available(lambda: migrate(database), on_outage)
        await until_available(lambda: ensure_topics(settings), on_outage)
        deliveries = Deliveries(database, name, settings.topic)
        histories = Histories(database, name, settings.topic, CONSUMER)
        partitions = RunPartitions(database, settings.topic)
        yield Connected(
            settings, tracker, database, deliveries, Trackers(database), histories, partitions, bounds, call_s
        )
        await close_tracker(tracker)  # not after a failure: a call may be under way
    finally:
        await bounds.close()
        database.terminate()


async def serve(
    services: Connected, stopping: asyncio.Event, on_ready: Callable[[], None], on_silent: Callable[[str], None],
    watch: DeliveryWatch,
) -> None:  # fmt: skip
    """
    Deliver everything until `stopping` is set, starting again after each outage that ends the loop.

    `on_ready` is called whenever reading begins, `on_silent` whenever it ends, with the reason.
    """

    def give_up(why: TrackerHangs) -> None:
        end_process(f"delivery {services.tracker.name}", why, 0 if stopping.is_set() else EXIT_RESTART)

    async def once() -> None:
        try:
            async with (
                services.deliveries.lease(on_silent) as lease,
                background(watch_event_loop(services.call_s)),
                open_delivery(services, Work(), watch, give_up) as delivery,
                background(watch.lag.run(services.bounds.ask, delivery.offsets)),
            ):
                await delivery.run(stopping, on_ready, lease.is_lost)
        finally:
            on_silent("")

    while not stopping.is_set():
        try:
            await until_available(once, on_silent)
        except LogShorter:
            raise
        except LogGap as gap:
            if not await _is_overtaken(services):
                raise
            on_silent(f"{gap}: starting again, with the deleted records from PostgreSQL")
            await asyncio.sleep(RETRY_S)


@asynccontextmanager
async def open_delivery(
    services: Connected, work: Work, watch: DeliveryWatch, give_up: Callable[[TrackerHangs], object]
) -> AsyncIterator[Delivery]:
    """
    Yield the delivery of one tracker with all its parts, ready to run; only the holder of the lease may call this.

    `give_up` is called when calls hang and the process has to end, because nothing else ends their threads. Raises
    LogGap, LogUnavailable and StoreUnavailable.
    """
    reader = services.reader() if work.only is None else None
    threads = Threads(PARALLEL_RUNS, f"deliver-{services.tracker.name}")
    try:
        saved, starts = ({}, {}) if reader is None else await _assign(services, reader)
        unanswered = await services.deliveries.unanswered()
        quarantine = Quarantine(unanswered, time.monotonic(), call_s=services.call_s, threads=PARALLEL_RUNS)
        context = _context(services, work, watch, Backlog(starts), quarantine)
        calls = Calls(context, TrackerInvoker(services.tracker), threads, services.call_s)
        call_bytes = int(getattr(services.tracker, "call_bytes", CALL_BYTES))
        dispatcher = Dispatcher(calls, context, workers=PARALLEL_RUNS, call_bytes=call_bytes, give_up=give_up)
        history, catch_up = _backfill(services, work, context, dispatcher.start_ready)
        deliveries, partitions = services.deliveries, services.run_partitions
        yield Delivery(Parts(work, deliveries, context, dispatcher, catch_up, history, partitions, reader, saved))
    finally:
        threads.close()
        if reader is not None:
            await reader.close()


async def _assign(services: Connected, reader: LogReader) -> tuple[dict[int, int], dict[int, int]]:
    """Let the reader start where the tracker is; return the saved offsets, and the offsets it starts at."""
    await reader.open()
    known = await services.deliveries.offsets()
    first, end = await reader.beginning_offsets(), await reader.end_offsets()
    name = f"the delivery to {services.tracker.name}"
    check_length(reader.topic, known, end, name)
    check_length(reader.topic, await services.deliveries.furthest(), end, name)
    await reader.check_same_log(await last_records(services.database, CONSUMER, reader.topic), "the materialiser")
    await claim_incomplete(services.histories, services.trackers, services.tracker.name, known, first)
    saved = {partition: known.get(partition, 0) for partition in first}
    starts = {partition: max(at, first[partition]) for partition, at in saved.items()}
    await services.deliveries.save_offsets(saved)  # from now on it has a row, and so a lag, in every partition
    await reader.assign(starts)
    return saved, starts


def _context(
    services: Connected, work: Work, watch: DeliveryWatch, backlog: Backlog, quarantine: Quarantine
) -> CallContext:
    name, outages = services.tracker.name, OutageNotices(watch)
    rereads = Rereads(name, services.trackers, backlog, outages, watch, work.only)
    return CallContext(
        tracker=name,
        backlog=backlog,
        quarantine=quarantine,
        checkpoints=Checkpoints(services.deliveries, name),
        control=Control(services.trackers, name, watch, rereads),
        rereads=rereads,
        outages=outages,
        rate_limit=work.rate_limit,
        watch=watch,
    )


def _backfill(
    services: Connected, work: Work, context: CallContext, on_records: Callable[[], object]
) -> tuple[History, CatchUp]:
    can_delete = capabilities_of(services.tracker).can_delete
    source = HistorySource(context.tracker, services.histories, services.trackers, context.outages, can_delete)
    history = History(context.backlog, source, context.rereads, on_records)
    target = partial(work.reread_target, context.backlog)
    catch_up = CatchUp(
        services.reader, context.backlog, context.rereads, history, services.run_partitions,
        target=target, on_records=on_records, has_end=work.until is not None,
    )  # fmt: skip
    return history, catch_up


async def _is_overtaken(services: Connected) -> bool:
    """Tell whether the log begins above what this tracker needs; otherwise nothing helps."""
    known = await services.deliveries.offsets()
    bounds = await services.bounds.ask()
    return any(known.get(part, 0) < first for part, first in bounds.first.items())
