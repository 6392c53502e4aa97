"""
Start and end a process that serves HTTP, the same way for the API and the ingest server.

This module imports no web server: the caller passes the function that serves. Exit status: 0 stopped by SIGTERM or
SIGINT; 78 refused (a setting, a port, a password), so that a restart will not help.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from schemas.errors import BadSettings, Refused, StackError
from schemas.runtime.logs import configure, log_fatal
from schemas.runtime.settings import Settings

EXIT_REFUSED = 78  # EX_CONFIG of sysexits.h


def run(
    process: str, serve: Callable[[Settings], Coroutine[Any, Any, None]], *, quiet: dict[str, int] | None = None
) -> int:
    """Serve until a signal arrives and return the exit status; `quiet` as in schemas/runtime/logs.py."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        settings = Settings.load()
        configure(process, settings.log_format, quiet=quiet)
        asyncio.run(serve(settings))
    except (BadSettings, Refused) as error:
        log_fatal(process, error)
        return EXIT_REFUSED
    return 0


def _stop(signum: int, frame: FrameType | None) -> None:
    # uvicorn handles signals while it serves, and raises them again after its orderly stop. Such a signal, and one that
    # arrives before uvicorn serves, is handled here.
    raise SystemExit(0)


def listen(host: str, port: int, *, setting: str, backlog: int) -> socket.socket:
    """Return a listening socket. Raises StackError, naming the settings `setting`_HOST and `setting`_PORT."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StackError(f"cannot listen on {host}:{port} ({error}): correct {setting}_HOST") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(backlog)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            raise StackError(
                f"port {port} on {host} is in use by another program: end that program, or choose another port with "
                f"{setting}_PORT"
            ) from error
        raise StackError(
            f"cannot listen on {host}:{port} ({error}): correct {setting}_HOST or {setting}_PORT"
        ) from error
    return found


def report_ready(settings: Settings, address: str, log: logging.Logger) -> None:
    """Report that the process serves at `address`: in its log, and by the file for which its starter may wait."""
    log.info("ready on %s", address)
    if settings.ready_file is not None:
        settings.ready_file.write_text("ready\n", encoding="utf-8")
