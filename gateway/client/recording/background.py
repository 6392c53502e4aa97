"""
A thread for the work of a run that may take long and must not delay training.

Tasks run once, in the order they were submitted; periodic work runs until the run finishes. A failed task is counted
and reported once, and the others run. The thread ends when the run finishes, and `stop` waits for it.

No call here waits for a lock: a signal handler or a destructor may submit something while its thread is in the middle
of a submission.
"""

from __future__ import annotations

import sys
import threading
from _queue import Empty, SimpleQueue  # `queue` would import heapq as well
from time import monotonic

from gateway.client.guards import warn_lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

THREAD_NAME = "gateway-background"
MAX_TASKS = 10_000  # waiting; more are refused, which is reported once


def is_background() -> bool:
    """Return whether this code runs in the thread of a background worker."""
    return threading.current_thread().name == THREAD_NAME


class _Periodic:
    """Work that runs every `every_s` seconds, and `last`, which runs once at the end."""

    __slots__ = ("due", "every_s", "last", "work")

    def __init__(self, every_s: float, work: Callable[[], None], last: Callable[[], None]) -> None:
        self.every_s = every_s
        self.work = work
        self.last = last
        self.due = monotonic() + every_s


class BackgroundWorker:
    """Tasks and periodic work of one run, and the thread that does them."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()  # None: end
        self._periodic: list[_Periodic] = []
        self._starting = threading.Lock()  # taken, without waiting, by the caller that starts the thread
        self._thread: threading.Thread | None = None
        self.is_stopped = False  # stop() was called: later tasks need a new worker

    def submit(self, task: Callable[[], None]) -> None:
        """Run `task` once, soon. Raises RuntimeError when 10,000 tasks wait, or no thread can be started."""
        if self._tasks.qsize() >= MAX_TASKS:
            raise RuntimeError(f"{MAX_TASKS:,} tasks wait already")
        self._tasks.put(task)
        self._start()

    def every(self, seconds: float, work: Callable[[], None], *, last: Callable[[], None] | None = None) -> None:
        """Run `work` every so many seconds, and once more, or `last` in its place, when the run finishes."""
        self._periodic.append(_Periodic(seconds, work, last or work))
        self.submit(_nothing)  # the thread determines again how long it may wait

    def stop(self, timeout_s: float) -> bool:
        """Wait until all tasks are done and all periodic work has run a last time; False if the time was too short."""
        if not self.is_stopped:
            self.is_stopped = True
            self._tasks.put(None)
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):
            return  # it runs, or another caller is starting it
        if sys.is_finalizing():  # the thread would never run, and `stop` would wait for it
            self._starting.release()
            raise RuntimeError("the interpreter is going away")
        thread = threading.Thread(target=self._work, name=THREAD_NAME, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread is left, or the interpreter is exiting: the caller reports it
            self._starting.release()
            raise
        self._thread = thread

    def _work(self) -> None:
        while True:
            first = min(self._periodic, key=lambda one: one.due, default=None)
            try:
                task = self._tasks.get(timeout=None if first is None else max(0.0, first.due - monotonic()))
            except Empty:
                assert first is not None
                first.due, task = monotonic() + first.every_s, first.work
            if task is None:
                break
            _try(task)
        while self._periodic:
            _try(self._periodic.pop().last)


def _nothing() -> None:
    """Do nothing."""


def _try(task: Callable[[], None]) -> None:
    try:
        task()
    except Exception as error:  # noqa: BLE001 -- the edge of the thread: the event of this task is missing, others run
        warn_lost("capture", "something could not be captured", error)
