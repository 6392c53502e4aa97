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
import sys
from typing import TYPE_CHECKING

from consumers.delivery.background import DRAIN_S, run_until_stopped
from schemas.errors import BadSettings, Refused, TrackingError
from schemas.runtime.logs import configure, log_fatal
from schemas.runtime.probes import serve_probes
from schemas.runtime.settings import Settings

if TYPE_CHECKING:
    from consumers.telemetry.instruments import DeliveryWatch

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
    stopping, consuming = asyncio.Event(), asyncio.Event()
    work = _serve(settings, name, stopping, consuming)
    if not await run_until_stopped(work, stopping, is_idle=lambda: not consuming.is_set()):
        log.warning("a call was not finished within %s s; it is repeated after the next start", DRAIN_S)
        os._exit(0)


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
        watch.reading_stopped(problem)
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
