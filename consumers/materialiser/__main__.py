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

from schemas.errors import BadSettings, Refused, TrackingError
from schemas.settings import Settings

DRAIN_S = 5.0
EXIT_REFUSED, EXIT_UNEXPECTED = 78, 70

log = logging.getLogger("consumers.materialiser")


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    try:
        settings = Settings.load()
        asyncio.run(_run(settings))
    except TrackingError as error:
        _fail(error)


async def _run(settings: Settings) -> None:
    # Imported late: `import faust` takes most of this process's start, and a wrong setting should say so at once.
    from consumers.deadletters.limits import Limits
    from consumers.deadletters.publisher import publish
    from consumers.log import ensure_topics
    from consumers.materialiser.app import build_app, leave
    from consumers.materialiser.worker import CONSUMER, Worker
    from consumers.store.migrations import migrate
    from consumers.store.pool import address, open_pool
    from consumers.waiting import until_available

    dsn = settings.need("postgres").strip()
    pool = await until_available(lambda: open_pool(dsn), log.warning)
    await migrate(pool)
    await until_available(lambda: ensure_topics(settings), log.warning)
    worker = Worker(pool, address(dsn), settings.topic, limits=Limits.of(settings))
    loop = asyncio.get_running_loop()

    def stop(error: BaseException) -> None:
        leave(_fail(error, leaving=True))

    def ready() -> None:
        if settings.ready_file is not None:
            settings.ready_file.write_text("ready\n")
        log.info("reading %s", settings.topic)

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    app = build_app(settings, worker, stop, ready)
    await app.start()
    for number in (signal.SIGTERM, signal.SIGINT):  # Faust may have put its own handlers in place
        loop.add_signal_handler(number, stopping.set)
    letters = asyncio.create_task(publish(settings, pool, address(dsn), CONSUMER))
    await stopping.wait()
    letters.cancel()
    try:
        await asyncio.wait_for(worker.idle(), DRAIN_S)
    except TimeoutError:
        log.warning("a batch was not finished within %s s; the next start does it again", DRAIN_S)
    leave(0)


def _fail(error: BaseException, *, leaving: bool = False) -> int:
    if isinstance(error, BadSettings | Refused):
        code = EXIT_REFUSED
        print(f"gateway: materialiser: {error}", file=sys.stderr, flush=True)  # noqa: T201  # the last line is shown
    else:
        code = EXIT_UNEXPECTED
        log.error("unexpected %s: %s", type(error).__name__, error, exc_info=error)
    if not leaving:
        sys.exit(code)
    return code


if __name__ == "__main__":
    main()
