"""
SIGTERM: end the open runs as killed, within a bound, then let the signal do what it does.

Only where the program has no handler of its own. One that it installs later replaces this one, and one it had
before is left alone: such a program ends as it decides, and `atexit` finishes its runs. SIGINT needs nothing here:
Python raises KeyboardInterrupt, which ends a run as killed.
"""

from __future__ import annotations

import _thread
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BOUND_S = 10.0  # schedulers give 30 s between SIGTERM and SIGKILL, and the program may need some of them

is_installed = False  # or found to be impossible here
_finish: Callable[[float], None] | None = None


def install(finish: Callable[[float], None]) -> None:
    """Call `finish(seconds)` when SIGTERM comes. Does nothing outside the main thread, where Python forbids it."""
    global _finish, is_installed
    is_installed = True
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _on_term)
            _finish = finish
    except ValueError:
        return  # not the main thread: the program may install its own there at any time


def after_fork() -> None:
    """Let SIGTERM end a child at once, until it records something itself. In the child only."""
    global is_installed
    is_installed = False
    try:
        if signal.getsignal(signal.SIGTERM) is _on_term:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except ValueError:
        return


def _on_term(number: int, frame: object) -> None:
    # The interrupted code may hold any lock of ours, and goes on only after this handler: so the work is done in a
    # thread, which may wait for such a lock in vain, and this waits for it no longer than the bound.
    done = _thread.allocate_lock()
    done.acquire()

    def work() -> None:
        try:
            if _finish is not None:
                _finish(BOUND_S)
        finally:
            done.release()

    try:
        _thread.start_new_thread(work, ())
        done.acquire(timeout=BOUND_S + 1.0)
    except RuntimeError:
        pass  # no thread can start: what is emitted waits in the journal
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
