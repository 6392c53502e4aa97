"""
A thread for the work of a run that may take long and must not delay training.

Tasks run once, in the order they were submitted; periodic work runs until the run finishes. A failed task is counted
and reported once, and the others run. The thread ends when there is nothing left to do, and `stop` waits for it.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from time import monotonic

from gateway.client.guards import warn_lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TASKS = 10_000  # waiting; more are refused, which is reported once
IDLE_S = 1.0  # how long a thread without work waits for more


class _Periodic:
    """Work that runs every `every_s` seconds, and `last`, which runs once at the end."""

    __slots__ = ("due", "every_s", "last", "work")

    def __init__(self, every_s: float, work: Callable[[], None], last: Callable[[], None]) -> None:
        self.every_s = every_s
        self.work = work
        self.last = last
        self.due = monotonic() + every_s


class BackgroundWorker:
    """The tasks and the periodic work of one run, and the thread that does them."""

    def __init__(self) -> None:
        self._tasks: deque[Callable[[], None]] = deque()
        self._periodic: list[_Periodic] = []
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self.is_stopped = False  # stop() was called: later tasks need a new worker

    def submit(self, task: Callable[[], None]) -> None:
        """Run `task` once, soon. Raises RuntimeError when 10,000 tasks wait, or no thread can be started."""
        with self._changed:
            is_full = len(self._tasks) >= MAX_TASKS
            if not is_full:
                self._tasks.append(task)
                self._start()
        if is_full:
            raise RuntimeError(f"{MAX_TASKS:,} tasks wait already")

    def every(self, seconds: float, work: Callable[[], None], *, last: Callable[[], None] | None = None) -> None:
        """Run `work` every so many seconds, and once more, or `last` in its place, when the run finishes."""
        with self._changed:
            self._periodic.append(_Periodic(seconds, work, last or work))
            self._start()

    def stop(self, timeout_s: float) -> bool:
        """Wait until all tasks are done and all periodic work has run a last time; False if the time was too short."""
        with self._changed:
            self.is_stopped = True
            self._changed.notify_all()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _start(self) -> None:
        self._changed.notify_all()
        if self._thread is None:
            if sys.is_finalizing():  # the thread would never run, and `stop` would wait for it
                raise RuntimeError("the interpreter is going away")
            thread = threading.Thread(target=self._work, name="gateway-background", daemon=True)
            thread.start()  # RuntimeError when the interpreter is exiting: the caller reports it
            self._thread = thread

    def _work(self) -> None:
        while True:
            with self._changed:
                task = self._next()
                if task is None:
                    self._thread = None
                    return
            _try(task)

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next work and return it; None when there is nothing left to do. The lock is held."""
        idle_until = monotonic() + IDLE_S
        while True:
            if self._tasks:
                return self._tasks.popleft()
            if self.is_stopped:
                return self._periodic.pop().last if self._periodic else None
            now = monotonic()
            first = min(self._periodic, key=lambda one: one.due, default=None)
            if first is not None and first.due <= now:
                first.due = now + first.every_s
                return first.work
            if first is None and now >= idle_until:
                return None
            self._changed.wait((idle_until if first is None else first.due) - now)


def _try(task: Callable[[], None]) -> None:
    try:
        task()
    except Exception as error:  # noqa: BLE001 -- the edge of the thread: the event of this task is missing, others run
        warn_lost("capture", "something could not be captured", error)
