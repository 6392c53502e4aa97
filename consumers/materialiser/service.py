"""
Run the materialiser: connect to PostgreSQL and Kafka, feed the worker, and end the process.

The process ends without Faust's shutdown: with 0 after a signal, otherwise with the exit code of the error. An outage
of Kafka that ended Faust restarts the process instead.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from consumers.deadletters.limits import Limits
from consumers.deadletters.publisher import publish
from consumers.log.reader import LogReader, check_length
from consumers.log.retry import until_available
from consumers.log.security import security_arguments
from consumers.log.topics import ensure_topics, is_outage
from consumers.log.watermarks import Bounds, LogBounds, close_quietly
from consumers.materialiser.faust_app import (
    ReaderHooks,
    build_app,
    exit_now,
    request_rejoin,
    restart_process,
    wait_for_crash,
)
from consumers.materialiser.gaps import READER, strict_gap_policy, watch_for_gap
from consumers.materialiser.strays import StrayCopier
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.offsets import CONSUMER, last_records, stored_offsets
from consumers.store.pool import Database, open_database
from schemas.errors import Unavailable

if TYPE_CHECKING:
    from consumers.materialiser.backpressure import ReadAhead
    from consumers.telemetry.instruments import FoldWatch
    from schemas.runtime.settings import Settings

DRAIN_S = 5.0
CHECK_PARTITIONS_S = (3.0, 60.0)  # first and longest wait between two checks whether every partition has a worker

log = logging.getLogger("consumers.materialiser")


class Service:
    """One materialiser process."""

    _bounds: LogBounds

    def __init__(
        self,
        settings: Settings,
        watch: FoldWatch,
        read_ahead: ReadAhead,
        *,
        must_pause: Callable[[], bool],
        fail: Callable[[BaseException], int],
    ) -> None:
        """`must_pause` is asked before each fetch; `fail` logs the error that ends the process and returns its code."""
        self._settings, self._watch, self._read_ahead = settings, watch, read_ahead
        self._must_pause, self._fail = must_pause, fail

    async def run(self) -> None:
        """Fold until SIGTERM or SIGINT, then end the process. Raises an error of the start that waiting cannot heal."""
        settings = self._settings
        database = await self._open_store()
        await until_available(lambda: ensure_topics(settings), self._report_outage)
        self._bounds = LogBounds(settings.need("kafka"), settings.topic, security_arguments(settings))
        gap_policy = strict_gap_policy(self._first_offsets)
        copier = StrayCopier(settings)
        worker = Worker(
            database,
            settings.topic,
            self._watch,
            limits=Limits.of(settings),
            gap_policy=gap_policy,
            copy_strays=copier.copy,
        )
        stopping = asyncio.Event()
        _stop_by_signal(stopping)
        await until_available(lambda: self._check_log(database), self._report_outage)
        hooks = ReaderHooks(
            self._read_ahead, self._must_pause, self._log_bounds, self._stop, self._announce_ready,
            self._report_damage,
        )  # fmt: skip
        app = build_app(settings, worker, hooks)
        try:
            await app.start()
        except Exception as error:  # noqa: BLE001  # whatever Faust lets through: the process ends or restarts
            self._stop(error)
        _stop_by_signal(stopping)  # Faust may have installed its own handlers
        gap = watch_for_gap(settings.topic, self._bounds.ask, worker.positions, self._is_idle)
        ended = asyncio.create_task(_first(wait_for_crash(app), gap))
        ended.add_done_callback(lambda done: None if done.cancelled() else self._stop(done.result()))
        watching = asyncio.create_task(self._watch.lag.run(self._bounds.ask, worker.positions))
        letters = asyncio.create_task(publish(settings, database, CONSUMER))
        growing = asyncio.create_task(self._rejoin_when_unread(database, lambda: request_rejoin(app)))
        await stopping.wait()
        for task in (ended, watching, letters, growing):
            task.cancel()
        await _drain(worker)
        exit_now(0)

    def _report_damage(self, text: str) -> None:
        """Show what of the log cannot be read; "" once all of it can."""
        pulse = self._watch.pulse
        if text == pulse.damaged:
            return
        pulse.damaged = text
        if text:
            log.error("%s. Other partitions continue", text)
        else:
            log.info("all partitions can be read again")

    async def _open_store(self) -> Database:
        database = await until_available(
            lambda: open_database(
                self._settings.need("postgres").strip(),
                # A worker paused in a transaction holds the rows of its partitions; its successor must not wait for it.
                idle_in_transaction_session_timeout=str(self._settings.session_timeout_ms),
                statement_timeout="120s",
            ),
            self._report_outage,
        )
        await until_available(lambda: migrate(database), self._report_outage)
        return database

    async def _rejoin_when_unread(self, database: Database, rejoin: Callable[[], None]) -> None:
        """Call `rejoin` when the topic has partitions that no worker has ever read and that no rebalance assigns."""
        wait_s, before = CHECK_PARTITIONS_S[0], frozenset[int]()
        while True:
            await asyncio.sleep(wait_s)
            with suppress(Unavailable):
                partitions = (await self._bounds.ask()).end.keys()
                read = await stored_offsets(database, CONSUMER, self._settings.topic)
                unread = frozenset(partitions - read.keys())
                wait_s = CHECK_PARTITIONS_S[0]
                if unread and unread == before:
                    rejoin()
                    wait_s, unread = min(2 * wait_s, CHECK_PARTITIONS_S[1]), frozenset()
                before = unread

    async def _check_log(self, database: Database) -> None:
        """Raise LogShorter when this is not the log that was folded."""
        settings = self._settings
        read = await stored_offsets(database, CONSUMER, settings.topic)
        check_length(settings.topic, read, (await self._bounds.ask()).end, READER)
        reader = LogReader(settings.need("kafka"), settings.topic, security_arguments(settings))
        try:
            await reader.open()
            await reader.check_same_log(await last_records(database, CONSUMER, settings.topic), READER)
        finally:
            await close_quietly(reader)

    async def _log_bounds(self) -> Bounds:
        return await until_available(self._bounds.ask, self._report_outage)

    async def _first_offsets(self) -> Mapping[int, int]:
        return (await self._log_bounds()).first

    def _report_outage(self, problem: str) -> None:
        self._watch.reading_stopped(problem)
        log.warning("%s", problem)

    def _announce_ready(self) -> None:
        self._watch.reading()
        if self._settings.ready_file is not None:
            self._settings.ready_file.write_text("ready\n")
        log.info("reading %s", self._settings.topic)

    def _is_idle(self) -> bool:
        return not (self._read_ahead.bytes or self._must_pause())

    def _stop(self, error: BaseException) -> None:
        if is_outage(error):
            log.warning("Kafka went away (%s): restarting and waiting for it", error or type(error).__name__)
            restart_process()
        exit_now(self._fail(error))


async def _drain(worker: Worker) -> None:
    try:
        await asyncio.wait_for(worker.idle(), DRAIN_S)
    except TimeoutError:
        log.warning("a batch was not finished within %s s; the next start applies it again", DRAIN_S)


async def _first(*endings: Coroutine[Any, Any, BaseException]) -> BaseException:
    """Return the reason from the coroutine that finishes first."""
    tasks = {asyncio.create_task(ending) for ending in endings}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return done.pop().result()


def _stop_by_signal(stopping: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
