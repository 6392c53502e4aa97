"""
Calls to a tracker that do not end: noticed after a bound, named, and ended with the process they are in.

Python cannot end a thread. As long as its process lives, a call that hangs may wake up and write. So whoever gives it
up ends the process at once, still holding the lease: nothing else delivers that run before the call is gone.
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
from schemas.runtime.logs import last_words

T = TypeVar("T")

BEAT_S = 1.0
AGAIN = 75  # EX_TEMPFAIL of sysexits.h: a new start is all that it takes; the supervisor of `gateway up` does it


class TrackerHangs(TrackingError):
    """A call to a tracker does not end: its process has to be started again."""


class BoundedCalls:
    """Calls to one tracker, at most `count` at once, each with a bound in seconds."""

    def __init__(self, name: str, count: int, seconds: float) -> None:
        self._threads, self._seconds = Threads(count, name), seconds

    async def call(self, work: Callable[[], T], what: str) -> T:
        """Return what a call returns. Raises what it raises, and TrackerHangs after the bound; it goes on."""
        began = time.time()
        call = self._threads.call(work)
        done, _ = await asyncio.wait({call}, timeout=self._seconds)
        if not done:
            call.cancel()
            raise TrackerHangs(f"{what} {since(began, self._seconds)}")
        return call.result()

    def end(self) -> None:
        """Let threads go that do nothing."""
        self._threads.end()


async def bounded(work: Callable[[], T], seconds: float, what: str) -> T:
    """Return what one call returns. Raises what it raises, and TrackerHangs after so long; it goes on."""
    calls = BoundedCalls(what, 1, seconds)
    try:
        return await calls.call(work, what)
    finally:
        calls.end()


async def alive(call_s: float) -> None:
    """
    End this process when its event loop stands still for longer than a call may take, twice over; until cancelled.

    A plug-in in native code, or a regular expression, may keep the interpreter to itself: then no thread of Python can
    notice. This clock needs none. It writes where each thread stands, and ends the process with status 1.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(2 * call_s + BEAT_S, exit=True, file=sys.__stderr__ or sys.stderr)
            await asyncio.sleep(BEAT_S)
    finally:
        faulthandler.cancel_dump_traceback_later()


@contextmanager
def watched(process: str, what: str, seconds: float) -> Iterator[None]:
    """
    Run a plug-in's code in the main thread, as imports want it, and end the process when it does not end.

    Meanwhile SIGTERM and Ctrl-C end the process at once: nothing is under way, and no event loop can hear them.
    """
    began, over = time.time(), threading.Event()

    def watch() -> None:
        if not over.wait(seconds):
            end_process(process, TrackerHangs(f"{what} {since(began, seconds)}"))

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


def end_process(process: str, error: TrackerHangs, status: int = AGAIN) -> NoReturn:
    """End this process now, with what hangs in it, saying why and what to do in one line."""
    last_words(process, TrackerHangs(f"{error}: start it again (`gateway up` does so by itself)"))
    sys.stdout.flush()
    os._exit(status)


def since(began: float, bound_s: float) -> str:
    """Return since when a call hangs; `began` in s since 1970."""
    at = datetime.fromtimestamp(began, UTC)
    return f"hangs since {at:%Y-%m-%d %H:%M:%S} UTC, longer than {bound_s:g} s"
