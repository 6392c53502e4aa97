"""
Watchdog for tracker calls: report a call that exceeds its timeout and exit the process it runs in.

Python cannot end a thread, and a call that hangs may wake up and write as long as its process lives. So the process
exits at once when the call is given up, and holds its lease until then: no other process delivers that run before the
call is gone.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

from consumers.delivery.plugins.threads import Threads
from schemas.errors import TrackingError
from schemas.runtime.logs import log_fatal

T = TypeVar("T")

BEAT_S = 1.0
EXIT_RESTART = 75  # EX_TEMPFAIL of sysexits.h: a restart is enough; the supervisor of `gateway up` does it


class TrackerHangs(TrackingError):
    """A call to a tracker does not end: its process has to be restarted."""


class BoundedCalls:
    """Calls to one tracker, at most `count` at the same time, each with a timeout in seconds."""

    def __init__(self, name: str, count: int, seconds: float) -> None:
        self._threads, self._seconds = Threads(count, name), seconds

    async def call(self, work: Callable[[], T], what: str) -> T:
        """Return what a call returns. Raises what it raises, and TrackerHangs after the timeout; the call continues."""
        began = time.time()
        call = self._threads.call(work)
        done, _ = await asyncio.wait({call}, timeout=self._seconds)
        if not done:
            call.cancel()
            raise TrackerHangs(f"{what} {hang_text(began, self._seconds)}")
        return call.result()

    def close(self) -> None:
        """End the threads that are idle, and the others when their call returns."""
        self._threads.close()


async def call_with_timeout(work: Callable[[], T], seconds: float, what: str) -> T:
    """Return what one call returns. Raises what it raises, and TrackerHangs after the timeout; the call continues."""
    calls = BoundedCalls(what, 1, seconds)
    try:
        return await calls.call(work, what)
    finally:
        calls.close()


async def watch_event_loop(call_s: float) -> None:
    """
    End this process when its event loop stands still for more than twice the timeout of a call; runs until cancelled.

    Native code of a plug-in, or a regular expression, may hold the interpreter lock: then no Python thread can notice.
    This clock needs none. It writes a traceback of each thread, and ends the process with status 1.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(2 * call_s + BEAT_S, exit=True, file=sys.__stderr__ or sys.stderr)
            await asyncio.sleep(BEAT_S)
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def main_thread_timeout(process: str, what: str, seconds: float) -> Iterator[None]:
    """
    Run a plug-in's code in the main thread, as imports require, and end the process when it exceeds the timeout.

    In the meantime SIGTERM and Ctrl-C end the process at once: no call is under way, and no event loop handles them.
    """
    began, over = time.time(), threading.Event()

    def watch() -> None:
        if not over.wait(seconds):
            end_process(process, TrackerHangs(f"{what} {hang_text(began, seconds)}"))

    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGINT)}
    threading.Thread(target=watch, name=what, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        for number, handler in before.items():
            signal.signal(number, handler)
            signal.siginterrupt(number, False)


def end_process(process: str, error: TrackerHangs, status: int = EXIT_RESTART) -> NoReturn:
    """End this process now, with the call that hangs, logging in one line why and what to do."""
    log_fatal(process, TrackerHangs(f"{error}: start it again (`gateway up` does so by itself)"))
    sys.stdout.flush()
    os._exit(status)


def hang_text(began: float, timeout_s: float) -> str:
    """Return since when a call hangs, in words; `began` in s since 1970."""
    at = datetime.fromtimestamp(began, UTC)
    return f"hangs since {at:%Y-%m-%d %H:%M:%S} UTC, longer than {timeout_s:g} s"
