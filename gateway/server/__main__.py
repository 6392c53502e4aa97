"""
`python -m gateway.server`: take events over HTTP until SIGTERM or SIGINT.

Exit codes: 0 stopped; 78 refused (a setting, a port, no token): starting again will not help.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from types import FrameType

from gateway.server.serving import serve
from schemas.errors import BadSettings, Refused
from schemas.log_lines import configure, last_words
from schemas.settings import Settings

EXIT_REFUSED = 78  # EX_CONFIG of sysexits.h
PROCESS = "ingest"


def main() -> int:
    """Run the process and return its exit code."""
    try:
        settings = Settings.load()
        configure(PROCESS, settings.log_format, quiet={"aiokafka": logging.NOTSET})  # the client's kafka.py quiets it
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
