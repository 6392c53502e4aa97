"""
`python -m consumers.materialiser`: fold the log into PostgreSQL until told to stop.

Exit status: 0 after SIGTERM or SIGINT, 78 when restarting cannot help (a setting, a refused password, a gap in
the log, too many dead letters), 70 for anything unexpected. A batch in progress is finished first, within DRAIN_S.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from schemas.errors import BadSettings, Refused, TrackingError
from schemas.runtime.logs import configure, last_words
from schemas.runtime.probes import answering
from schemas.runtime.settings import Settings

if TYPE_CHECKING:
    from consumers.materialiser.backpressure import ReadAhead
    from consumers.telemetry.instruments import FoldWatch

DRAIN_S = 5.0
EXIT_REFUSED, EXIT_UNEXPECTED = 78, 70
PROCESS = "materialiser"

log = logging.getLogger("consumers.materialiser")


def main() -> None:
    """Run until SIGTERM."""
    try:
        settings = Settings.load()
        configure(PROCESS, settings.log_format, quiet={"aiokafka": logging.ERROR})
        asyncio.run(_run(settings))
    except TrackingError as error:
        _fail(error)


async def _run(settings: Settings) -> None:
    # Imported late: `import faust` takes most of this process's start, and a wrong setting should say so at once.
    from consumers.materialiser.backpressure import ReadAhead
    from consumers.materialiser.gc_tuning import tune_gc
    from consumers.telemetry.instruments import FoldWatch

    tune_gc()
    watch, read_ahead = FoldWatch(settings.stall_s), ReadAhead()

    def must_pause() -> bool:
        return read_ahead.is_full or bool(watch.pulse.problem)

    async with answering(settings, watch.read_ahead(lambda: (read_ahead.bytes, must_pause()))):
        await _fold(settings, watch, read_ahead, must_pause)


async def _fold(settings: Settings, watch: FoldWatch, read_ahead: ReadAhead, must_pause: Callable[[], bool]) -> None:
    from consumers.deadletters.limits import Limits
    from consumers.deadletters.publisher import publish
    from consumers.log.retry import until_available
    from consumers.log.security import security_arguments
    from consumers.log.topics import ensure_topics, is_outage
    from consumers.log.watermarks import LogBounds
    from consumers.materialiser.faust_app import ReaderHooks, build_app, exit_now, restart_process, wait_for_crash
    from consumers.materialiser.gaps import strict_gap_policy, watch_for_gap
    from consumers.materialiser.worker import Worker
    from consumers.store.migrations import migrate
    from consumers.store.offsets import CONSUMER
    from consumers.store.pool import open_database

    def away(problem: str) -> None:
        watch.silent(problem)
        log.warning("%s", problem)

    database = await until_available(
        lambda: open_database(
            settings.need("postgres").strip(),
            # A worker that is paused in a transaction holds its partitions' rows: its successor must not wait for it.
            idle_in_transaction_session_timeout=str(settings.session_timeout_ms),
            statement_timeout="120s",
        ),
        away,
    )
    await until_available(lambda: migrate(database), away)
    await until_available(lambda: ensure_topics(settings), away)
    bounds = LogBounds(settings.need("kafka"), settings.topic, security_arguments(settings))

    async def first_offsets() -> Mapping[int, int]:
        return (await until_available(bounds.ask, away)).first

    worker = Worker(
        database,
        settings.topic,
        watch,
        limits=Limits.of(settings),
        gap_policy=strict_gap_policy(first_offsets),
    )

    def stop(error: BaseException) -> None:
        if is_outage(error):
            log.warning("Kafka went away (%s): starting again, and waiting for it", error or type(error).__name__)
            restart_process()
        exit_now(_fail(error, leaving=True))

    def ready() -> None:
        watch.reading()
        if settings.ready_file is not None:
            settings.ready_file.write_text("ready\n")
        log.info("reading %s", settings.topic)

    stopping = asyncio.Event()
    _stop_by_signal(stopping)
    app = build_app(settings, worker, ReaderHooks(read_ahead, must_pause, first_offsets, stop, ready))
    try:
        await app.start()
    except Exception as error:  # noqa: BLE001  # whatever Faust lets through: the process ends, or begins again
        stop(error)
    _stop_by_signal(stopping)  # Faust may have put its own handlers in place
    watching = asyncio.create_task(watch.lag.run(bounds.ask, worker.positions))
    letters = asyncio.create_task(publish(settings, database, CONSUMER))
    ended = asyncio.create_task(
        _first(
            wait_for_crash(app),
            watch_for_gap(settings.topic, bounds.ask, worker.positions, lambda: not (read_ahead.bytes or must_pause())),
        )
    )
    ended.add_done_callback(lambda done: None if done.cancelled() else stop(done.result()))
    await stopping.wait()
    for task in (ended, watching, letters):
        task.cancel()
    try:
        await asyncio.wait_for(worker.idle(), DRAIN_S)
    except TimeoutError:
        log.warning("a batch was not finished within %s s; the next start does it again", DRAIN_S)
    exit_now(0)


async def _first(*endings: Coroutine[Any, Any, BaseException]) -> BaseException:
    """Return the reason of the ending that comes first."""
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


def _fail(error: BaseException, *, leaving: bool = False) -> int:
    if isinstance(error, BadSettings | Refused):
        code = EXIT_REFUSED
        last_words(PROCESS, error)
    else:
        code = EXIT_UNEXPECTED
        log.error("unexpected %s: %s", type(error).__name__, error, exc_info=error)
    if not leaving:
        sys.exit(code)
    return code


if __name__ == "__main__":
    main()
