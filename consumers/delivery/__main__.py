"""
`python -m consumers.delivery NAME`: deliver the log to one tracker until a signal ends it.

Exit status: 0 after SIGTERM or SIGINT, 75 when a call to the tracker hangs and the process has to be restarted, 78 when
restarting cannot help (a setting, a refused password, a gap in the log), 70 for anything unexpected. Calls under way
are finished first, within DRAIN_S; a call that is not finished is repeated after the next start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

from schemas.errors import BadSettings, Refused, TrackingError
from schemas.runtime.logs import configure, log_fatal
from schemas.runtime.probes import serve_probes
from schemas.runtime.settings import Settings

if TYPE_CHECKING:
    from consumers.telemetry.instruments import DeliveryWatch

DRAIN_S = 4.5
EXIT_REFUSED, EXIT_UNEXPECTED = 78, 70

log = logging.getLogger("consumers.delivery")


def main() -> None:
    """Run until SIGTERM."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        if not name:
            raise BadSettings("name one tracker: python -m consumers.delivery NAME")
        settings = Settings.load()
        configure(f"delivery {name}", settings.log_format)
        asyncio.run(_until_stopped(settings, name))
    except TrackingError as error:
        log_fatal(f"delivery {name}", error)
        sys.exit(EXIT_REFUSED if isinstance(error, BadSettings | Refused) else EXIT_UNEXPECTED)


async def _until_stopped(settings: Settings, name: str) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    consuming = asyncio.Event()
    work = asyncio.create_task(_serve(settings, name, stopping, consuming))
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done() and not consuming.is_set():
        work.cancel()  # it waits for a service, and no call is under way
    done, _ = await asyncio.wait({work}, timeout=DRAIN_S)
    if done and not work.cancelled():
        work.result()
    if not done:
        log.warning("a call was not finished within %s s; it is repeated after the next start", DRAIN_S)
        os._exit(0)  # a normal exit would wait for the thread that still calls the tracker


async def _serve(settings: Settings, name: str, stopping: asyncio.Event, consuming: asyncio.Event) -> None:
    from consumers.telemetry.instruments import DeliveryWatch

    watch = DeliveryWatch(name, settings.stall_s)
    async with serve_probes(settings, watch.probes()):
        await _deliver(settings, name, stopping, consuming, watch)


async def _deliver(
    settings: Settings, name: str, stopping: asyncio.Event, consuming: asyncio.Event, watch: DeliveryWatch
) -> None:
    from consumers.delivery.service import connected, serve

    def silent(problem: str = "") -> None:
        consuming.clear()
        watch.silent(problem)
        if problem:
            log.warning("%s", problem)

    def ready() -> None:
        consuming.set()
        watch.reading()
        if settings.ready_file is not None:
            settings.ready_file.write_text("ready\n")
        log.info("delivering %s to %s", settings.topic, name)

    async with connected(settings, name, silent) as services:
        await serve(services, stopping, ready, silent, watch)


if __name__ == "__main__":
    main()
