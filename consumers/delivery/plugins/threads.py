"""
Threads in which a tracker is called.

A plug-in may hang, and nothing ends a thread but the end of its process. So these threads are daemons: an interpreter
that ends does not wait for them, unlike those of concurrent.futures. And a plug-in may raise what would end its caller
(SystemExit, KeyboardInterrupt, CancelledError, StopIteration): it arrives as an ordinary error that names it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
LONGEST_TEXT = 2_000  # characters


class Raised(Exception):
    """A plug-in raised something that no thread may raise; the text names it."""


class Threads:
    """At most `count` threads, each started when it is first needed and kept: trackers hold connections per thread."""

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._idle = threading.Semaphore(0)
        self._started = 0
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def call(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Begin work in a thread; the future holds what it returns or raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(_retrieve)
        self._work.put(partial(_work, work, loop, future))
        if not self._idle.acquire(blocking=False) and self._started < self._count:
            self._started += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def close(self) -> None:
        """End the threads that are idle, and the others when their call returns."""
        for _ in range(self._started):
            self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            del work  # its result must not stay in memory until the next call
            self._idle.release()


def _work(work: Callable[[], T], loop: asyncio.AbstractEventLoop, future: asyncio.Future[T]) -> None:
    result: Any = None
    error: Exception | None = None
    try:
        result = work()
    except StopIteration as raised:
        error = Raised(f"StopIteration: {_text(raised)}")
    except Exception as raised:  # noqa: BLE001  # a plug-in's own; the caller raises it
        error = raised
    except BaseException as raised:  # noqa: BLE001  # would end the process, or look like a cancelled task
        error = Raised(f"{type(raised).__name__}: {_text(raised)}")
    with suppress(RuntimeError):  # the loop is closed: no caller waits any more
        loop.call_soon_threadsafe(_answer, future, result, error)


def _answer(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _retrieve(future: asyncio.Future[Any]) -> None:
    """Retrieve the error of a call: its caller may be cancelled, and asyncio prints errors that are never retrieved."""
    if not future.cancelled():
        future.exception()


def describe_error(error: Exception) -> str:
    """Return class and text of what a plug-in raised."""
    text = _text(error)
    return text if isinstance(error, Raised) else f"{type(error).__name__}: {text}"


def error_text(error: Exception) -> str:
    """Return the text of an error: its first LONGEST_TEXT characters, without what PostgreSQL cannot store."""
    return _text(error)


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # a plug-in's own class
        return "(its text cannot be read)"
    kept = text[:LONGEST_TEXT].encode(errors="backslashreplace").decode()
    return kept.replace("\0", "\\x00")
