"""
What is done for a run beside training: a thread of its own for whatever may take long.

Errands are done once, in the order they came; rounds again and again until the run finishes. An task that fails is
counted and said once; the others go on. The thread ends when nothing is left to do, and `stop` waits for it.
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

MAX_TASKS = 10_000  # waiting; more are refused, and said once
IDLE_S = 1.0  # a thread with nothing to do waits so long for more


class _Periodic:
    """What is done every `every_s` seconds, and once more at the end."""

    __slots__ = ("due", "every_s", "last", "work")

    def __init__(self, every_s: float, work: Callable[[], None], last: Callable[[], None]) -> None:
        self.every_s = every_s
        self.work = work
        self.last = last
        self.due = monotonic() + every_s


class BackgroundWorker:
    """The tasks and rounds of one run."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._tasks: deque[Callable[[], None]] = deque()
        self._periodic: list[_Periodic] = []
        self._changed = threading.Condition(threading.Lock())
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self.is_stopped = False  # stop() was called: what comes later needs a new one

    def submit(self, task: Callable[[], None]) -> None:
        """Do this once, soon."""
        with self._changed:
            is_full = len(self._tasks) >= MAX_TASKS
            if not is_full:
                self._tasks.append(task)
                self._start()
        if is_full:
            raise RuntimeError(f"{MAX_TASKS:,} tasks wait already")

    def every(self, seconds: float, work: Callable[[], None], *, last: Callable[[], None] | None = None) -> None:
        """Do this every so many seconds, and a last time, or `last` in its place, when the run finishes."""
        with self._changed:
            self._periodic.append(_Periodic(seconds, work, last or work))
            self._start()

    def stop(self, timeout_s: float) -> bool:
        """Wait until all tasks are done and every round has had its last turn; False when time did not suffice."""
        with self._changed:
            self.is_stopped = self._is_stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def _start(self) -> None:
        self._changed.notify_all()
        if self._thread is None:
            if sys.is_finalizing():  # it would never run, and be waited for
                raise RuntimeError("the interpreter is going away")
            thread = threading.Thread(target=self._work, name="gateway-background", daemon=True)
            thread.start()  # RuntimeError when the interpreter is going away: said by the caller
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
        """Wait for what is due next; None when there is nothing more to do. The lock is held."""
        idle_until = monotonic() + IDLE_S
        while True:
            if self._tasks:
                return self._tasks.popleft()
            if self._is_stopping:
                return self._periodic.pop().last if self._periodic else None
            now = monotonic()
            due = min(self._periodic, key=lambda one: one.due, default=None)
            if due is not None and due.due <= now:
                due.due = now + due.every_s
                return due.work
            if due is None and now >= idle_until:
                return None
            self._changed.wait((idle_until if due is None else due.due) - now)


def _try(task: Callable[[], None]) -> None:
    try:
        task()
    except Exception as error:  # noqa: BLE001 -- the edge of the thread: this task's event is missing, others go on
        warn_lost("capture", "something could not be captured", error)
