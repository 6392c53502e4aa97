"""
`python -m consumers.live`: serve the API and the dashboard until SIGTERM or SIGINT.

Exit codes: 0 stopped; 78 refused (a setting, a port, a password): starting again will not help.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from types import FrameType

from consumers.live.server import serve
from schemas.errors import BadSettings, Refused
from schemas.log_lines import configure, last_words
from schemas.settings import Settings

EXIT_REFUSED = 78  # EX_CONFIG of sysexits.h
PROCESS = "live"


def main() -> int:
    """Run the process and return its exit code."""
    try:
        settings = Settings.load()
        configure(PROCESS, settings.log_format)
        asyncio.run(serve(settings))
    except (BadSettings, Refused) as error:
        last_words(PROCESS, error)
        return EXIT_REFUSED
    return 0


def _stop(signum: int, frame: FrameType | None) -> None:
    # uvicorn handles signals while it serves and raises them again after its orderly stop: that one, and one that
    # comes before it serves, arrive here.
    raise SystemExit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    sys.exit(main())
