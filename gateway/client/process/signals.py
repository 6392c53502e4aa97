"""
SIGTERM: end the open runs as killed, within a time limit, then let the signal take its default effect.

Only where the program does not have a handler of its own. A handler that it installs later replaces this one, and one
that it installed before is left alone: such a program ends as it decides, and `atexit` finishes its runs. SIGINT needs
no handler here: Python raises KeyboardInterrupt, which ends a run as killed.
"""

from __future__ import annotations

import _thread
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BOUND_S = 10.0  # schedulers give 30 s between SIGTERM and SIGKILL, and the program may need some of them

is_installed = False  # True also where it turned out to be impossible
_finish: Callable[[float], None] | None = None
_forking: set[int] = set()  # threads in which SIGTERM is held back during a fork


def install(finish: Callable[[float], None]) -> None:
    """Call `finish(seconds)` at SIGTERM. Does nothing outside of the main thread, where Python forbids it."""
    global _finish, is_installed
    is_installed = True
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _on_term)
            _finish = finish
    except ValueError:
        return  # not the main thread: the program may install its own there at any time


def before_fork() -> None:
    """
    Hold SIGTERM back during a fork that this thread makes.

    A child forgets a signal that comes before Python has set it up, when a handler in Python is to get it: the child of
    a `multiprocessing.Pool` that is ended at once would never end.
    """
    is_ours = signal.getsignal(signal.SIGTERM) is _on_term
    if is_ours and signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        _forking.add(_thread.get_ident())  # first: Ctrl-C may interrupt the next line when it has taken effect
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))


def after_fork_in_parent() -> None:
    """Let SIGTERM come again."""
    if _thread.get_ident() in _forking:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM,))
        finally:
            _forking.discard(_thread.get_ident())


def after_fork() -> None:
    """Let SIGTERM end a child at once, until the child records something itself. In the child only."""
    global is_installed
    is_installed = False
    try:
        if signal.getsignal(signal.SIGTERM) is _on_term:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except ValueError:
        return
    finally:
        after_fork_in_parent()  # one that came meanwhile takes effect now
        _forking.clear()


def _on_term(number: int, frame: object) -> None:
    # The interrupted code may hold any lock of ours, and continues only after this handler returns. So a thread does
    # the work: it may wait for such a lock in vain, and this handler waits for the thread no longer than the bound.
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
        pass  # no thread can start: recorded events stay in the journal
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # Still here: the kernel ignores default effects on process 1, as the program in a container often is.
    os._exit(128 + number)
