"""
`python -m consumers.materialiser`: fold the log into PostgreSQL until SIGTERM or SIGINT.

Exit status: 0 after a signal; 78 when restarting cannot help (a setting, a refused password, a gap in the log, too many
dead letters); 70 for any unexpected error. A batch in progress is finished first, within DRAIN_S of service.py.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from schemas.errors import BadSettings, Refused, TrackingError
from schemas.runtime.logs import configure, log_fatal
from schemas.runtime.probes import serve_probes
from schemas.runtime.settings import Settings

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
        sys.exit(_fail(error))


async def _run(settings: Settings) -> None:
    # Imported late: `import faust` takes most of the start of this process, and a wrong setting should be reported at
    # once. The probes answer before it.
    from consumers.materialiser.backpressure import ReadAhead
    from consumers.materialiser.gc_tuning import tune_gc
    from consumers.telemetry.instruments import FoldWatch

    tune_gc()
    watch, read_ahead = FoldWatch(settings.stall_s), ReadAhead()

    def must_pause() -> bool:
        return read_ahead.is_full or bool(watch.pulse.problem)

    async with serve_probes(settings, watch.read_ahead(lambda: (read_ahead.bytes, must_pause()))):
        from consumers.materialiser.service import Service

        await Service(settings, watch, read_ahead, must_pause=must_pause, fail=_fail).run()


def _fail(error: BaseException) -> int:
    """Log why this process ends and return its exit code."""
    if isinstance(error, BadSettings | Refused):
        log_fatal(PROCESS, error)
        return EXIT_REFUSED
    log.error("unexpected %s: %s", type(error).__name__, error, exc_info=error)
    return EXIT_UNEXPECTED


if __name__ == "__main__":
    main()
