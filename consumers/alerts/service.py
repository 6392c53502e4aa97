"""
Connect, hold the lease, evaluate and send, through all outages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from consumers.alerts.consumer import AlertsConsumer, Parts
from consumers.alerts.rulebook import RuleBook
from consumers.alerts.sending.dispatch import Dispatch, Keep
from consumers.alerts.sending.targets import TargetsFile
from consumers.log.reader import LogReader, check_length
from consumers.log.retry import until_available
from consumers.log.security import security_arguments
from consumers.log.topics import ensure_topics
from consumers.log.watermarks import LogBounds
from consumers.store.alerts.outbox import Outbox
from consumers.store.alerts.states import ALERTS, AlertStates
from consumers.store.migrations import migrate
from consumers.store.offsets import CONSUMER, last_records, load_offsets
from consumers.store.pool import Database, open_database
from consumers.store.run_partitions import RunPartitions
from consumers.telemetry.instruments import AlertsWatch
from schemas.errors import LogGap, LogShorter
from schemas.runtime.settings import Settings

POOL_SIZE = 8
log = logging.getLogger("consumers.alerts")


class Connected(NamedTuple):
    """Everything that the process needs."""

    settings: Settings
    targets: TargetsFile
    database: Database
    bounds: LogBounds
    watch: AlertsWatch


@asynccontextmanager
async def connected(
    settings: Settings, watch: AlertsWatch, on_outage: Callable[[str], object]
) -> AsyncIterator[Connected]:
    """Yield the services; wait for those that are away, reporting each outage once. Raises BadSettings."""
    dsn, kafka = settings.need("postgres"), settings.need("kafka")
    targets = TargetsFile(settings.alert_targets)
    database = await until_available(lambda: open_database(dsn, size=POOL_SIZE), on_outage)
    bounds = LogBounds(kafka, settings.topic, security_arguments(settings))
    try:
        await until_available(lambda: migrate(database), on_outage)
        await until_available(lambda: ensure_topics(settings), on_outage)
        yield Connected(settings, targets, database, bounds, watch)
    finally:
        await bounds.close()
        database.terminate()


async def serve(
    services: Connected, stopping: asyncio.Event, on_ready: Callable[[], None], on_silent: Callable[[str], None]
) -> None:
    """
    Evaluate and send until `stopping` is set, starting again after each outage.

    `on_ready` is called whenever reading begins, `on_silent` whenever it ends, with the reason.
    """
    states = AlertStates(services.database, services.settings.topic)

    async def once() -> None:
        try:
            async with states.lease(on_silent) as is_lost:
                await _evaluate_and_send(services, states, (stopping, on_ready, is_lost))
        finally:
            on_silent("")

    while not stopping.is_set():
        try:
            await until_available(once, on_silent)
        except LogShorter:
            raise
        except LogGap as gap:  # retention has overtaken the process: what is gone cannot be evaluated
            on_silent(f"{gap}: continuing with the first record that is left")


async def _evaluate_and_send(
    services: Connected,
    states: AlertStates,
    run: tuple[asyncio.Event, Callable[[], None], Callable[[], bool]],
) -> None:
    settings, watch = services.settings, services.watch
    keep = Keep(settings.api, settings.alert_days)
    dispatch = Dispatch(Outbox(services.database), services.targets, keep, watch.alerts)
    reader = LogReader(settings.need("kafka"), settings.topic, security_arguments(settings))
    tasks: list[asyncio.Task[None]] = []
    try:
        positions = await _assign(services, reader)
        parts = Parts(
            reader, services.bounds, states, RunPartitions(services.database, settings.topic),
            RuleBook(services.database, settings.topic), watch, lambda: services.targets.now.default,
            dispatch.wake,
        )  # fmt: skip
        consumer = AlertsConsumer(parts, positions)
        lag = watch.lag.run(services.bounds.ask, consumer.positions)
        tasks = [asyncio.create_task(one) for one in (dispatch.run(), lag)]
        reading = asyncio.create_task(consumer.run(*run))
        tasks.append(reading)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(TimeoutError):
            await reader.close()


async def _assign(services: Connected, reader: LogReader) -> dict[int, int]:
    """Let the reader start where this process is; return the offsets."""
    await reader.open()
    first, end = await reader.beginning_offsets(), await reader.end_offsets()
    known = await load_offsets(services.database, ALERTS, reader.topic, list(first))
    check_length(reader.topic, known, end, "the alerts process")
    await reader.check_same_log(await last_records(services.database, CONSUMER, reader.topic), "the materialiser")
    starts = {partition: max(known[partition], offset) for partition, offset in first.items()}
    if gone := {part: first[part] - offset for part, offset in known.items() if first[part] > offset}:
        log.warning("%s records are gone from the log and are not evaluated", sum(gone.values()))
        await AlertStates(services.database, reader.topic).skip(known, starts)
    await reader.assign(starts)
    return starts
