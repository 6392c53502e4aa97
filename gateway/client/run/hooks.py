"""
Install the hooks that handle the runs of a process at fork, at SIGTERM and at exit.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from gateway.client import notices
from gateway.client.process import forks, inheritance, signals
from gateway.client.recording.report import status_of
from gateway.client.run import registry, starting
from gateway.client.run.arguments import finish_timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.recording.report import Status
    from gateway.client.run.run import Run

_is_hooked = False
_is_child_hooked = False
_is_forked = False


def install() -> None:
    """Install fork, SIGTERM and atexit hooks, once per process."""
    global _is_hooked, _is_child_hooked
    if not signals.is_installed:
        signals.install(_at_sigterm)
    if not _is_hooked:
        _is_hooked = True
        import atexit

        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
            )
    # A child of multiprocessing may end by os._exit, which skips atexit, but it runs its own finalizers.
    process = sys.modules.get("multiprocessing.process")
    if not _is_child_hooked and process is not None and process.parent_process() is not None:
        _is_child_hooked = True
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=10)


def _at_exit() -> None:
    # The interpreter keeps the exception that ended it; at a prompt it keeps the last exception of any line.
    error = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    status, message = status_of(error)
    _finish_all(status, message, finish_timeout())
    registry.shut_down()


def _at_sigterm(timeout_s: float) -> None:
    registry.is_terminating = True
    _finish_all("killed", "SIGTERM", min(timeout_s, finish_timeout()))


def _finish_all(status: Status, message: str, timeout_s: float) -> None:
    end = monotonic() + timeout_s
    for run in registry.unfinished_runs():
        run.is_replaced = True
        waits = not (registry.is_terminating and _is_forked and not run.is_owner and _is_away(run))
        run.finish(status, message=message, timeout_s=max(0.0, end - monotonic()) if waits else 0.0)


def _is_away(run: Run) -> bool:
    """
    Return whether what this process recorded cannot be sent now, as far as is known.

    Who ends a forked child that has joined a run, as a `multiprocessing.Pool` does, waits for it. Its journal keeps the
    events. The ranks of a launcher are no such children: their journals may end with their machine.
    """
    shipper = run.recorder.shipper
    return shipper is not None and not shipper.is_connected and bool(shipper.last_error)


def _before_fork() -> None:
    forks.before()
    signals.before_fork()


def _after_fork_in_parent() -> None:
    signals.after_fork_in_parent()
    forks.after_in_parent()


def _after_fork_in_child() -> None:
    global _is_child_hooked, _is_forked
    _is_child_hooked, _is_forked = False, True
    forks.after_in_child()
    inheritance.after_fork()
    signals.after_fork()
    notices.reset()
    starting.after_fork()
    registry.after_fork()
