"""
`python -m consumers.alerts`: evaluate the rules of alerts on the log, and send what fires, until a signal ends it.

Exit status: 0 after SIGTERM or SIGINT, 78 when restarting cannot help (a setting, a refused password, another log), 70
for anything unexpected. A message that is being sent is sent again after the next start, with the same delivery id.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress

from schemas.errors import BadSettings, Refused, TrackingError
from schemas.runtime.logs import configure, log_fatal
from schemas.runtime.probes import serve_probes
from schemas.runtime.settings import Settings

EXIT_REFUSED, EXIT_UNEXPECTED = 78, 70
DRAIN_S = 4.5  # for the batch that is being evaluated, after a signal

log = logging.getLogger("consumers.alerts")


def main() -> None:
    """Run until SIGTERM."""
    try:
        settings = Settings.load()
        configure("alerts", settings.log_format)
        asyncio.run(_until_stopped(settings))
        logging.shutdown()
        os._exit(0)  # a normal exit waits for the threads that call targets, and a target may be slow
    except TrackingError as error:
        log_fatal("alerts", error)
        sys.exit(EXIT_REFUSED if isinstance(error, BadSettings | Refused) else EXIT_UNEXPECTED)


async def _until_stopped(settings: Settings) -> None:
    stopping, consuming = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    working, stop = asyncio.create_task(_serve(settings, stopping, consuming)), asyncio.create_task(stopping.wait())
    await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not working.done() and not consuming.is_set():
        working.cancel()  # it waits for a service
    done, _ = await asyncio.wait({working}, timeout=DRAIN_S)
    stop.cancel()
    if not done:
        os._exit(0)
    with suppress(asyncio.CancelledError):
        working.result()


async def _serve(settings: Settings, stopping: asyncio.Event, consuming: asyncio.Event) -> None:
    from consumers.alerts.service import connected, serve
    from consumers.telemetry.instruments import AlertsWatch

    watch = AlertsWatch(settings.stall_s)

    def silent(problem: str = "") -> None:
        consuming.clear()
        watch.reading_stopped(problem)
        if problem:
            log.warning("%s", problem)

    def ready() -> None:
        consuming.set()
        watch.reading()
        if settings.ready_file is not None:
            settings.ready_file.write_text("ready\n")
        log.info("evaluating alerts on %s", settings.topic)

    async with serve_probes(settings, watch.probes()), connected(settings, watch, silent) as services:
        await serve(services, stopping, ready, silent)


if __name__ == "__main__":
    main()
