"""
The runs that this process has open, and the shippers that send them.

No function here waits for a lock: a signal handler or a destructor may start, finish or use a run while its thread is
in the middle of doing so. Each change is one operation that CPython makes whole, and what depends on a list is computed
again until it fits the list.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from contextvars import ContextVar
from threading import RLock, current_thread, main_thread
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.client.address import Address
    from gateway.client.recording.shipped_journal import AnyShipper
    from gateway.client.run.run import Run

    Publish = Callable[[Run | None], None]

implicit_lock = RLock()  # held while a run is started for a call outside of any run
is_over = False  # the process ends and its runs are finished: nothing can be sent any more
is_terminating = False  # SIGTERM is ending the runs
last_finished: Run | None = None
_runs: list[Run] = []  # started here and not finished, oldest first
_of_main: list[Run] = []  # the runs in _runs that the main thread started
_late: list[Run] = []  # finished, but something was recorded into them since
_known: WeakSet[Run] = WeakSet()  # every run that the program may still record into, finished ones included
_innermost: ContextVar[Run | None] = ContextVar("gateway_run", default=None)
_shippers: dict[tuple[str, str], AnyShipper] = {}  # by URL and topic
# Objects of the parent in a forked child. Kept, because collecting them could close the parent's sockets.
_inherited: list[object] = []


def add(run: Run, publish: Publish) -> None:
    """Add a run. `publish` gets the only open run, or None if there are several."""
    _known.add(run)
    if current_thread() is main_thread():
        _of_main.append(run)
    _runs.append(run)
    _publish(publish)
    _innermost.set(run)


def remove(run: Run, publish: Publish) -> None:
    """Remove a finished run; the run around it becomes the innermost. `publish` gets the only open run, or None."""
    global last_finished
    last_finished = run
    for runs in (_runs, _of_main, _late):
        while run in runs:
            with suppress(ValueError):  # another caller removed it
                runs.remove(run)
    _publish(publish)
    if _innermost.get() is run:
        _innermost.set(run.outer)


def _publish(publish: Publish) -> None:
    while True:
        runs = list(_runs)
        publish(runs[0] if len(runs) == 1 else None)
        if runs == _runs:
            return  # otherwise it changed meanwhile, and the other caller may have published before this one


def add_late(run: Run) -> None:
    """Add a finished run into which something was recorded, so that the end of the process finishes it again."""
    _late.append(run)


def open_runs() -> list[Run]:
    """Return the runs that were started in this process and are not finished, oldest first."""
    return list(_runs)


def find_known(run_id: str) -> Run | None:
    """Return a run that the program has in this process, finished or not; an open one if there are several."""
    # A list of its references is made in one operation: other threads may start runs meanwhile.
    known = [one() for one in list(_known.data)]  # type: ignore[attr-defined]  # typeshed leaves it out
    found = [run for run in (*known, *_runs) if run is not None and run.id == run_id]
    return found[-1] if found else None


def add_copy(run: Run) -> None:
    """Add a run that came from another process, without making it current."""
    _known.add(run)


def unfinished_runs() -> list[Run]:
    """Return the open runs, newest first, then the runs into which something was recorded after their end."""
    return [*reversed(_runs), *_late]


def find_here() -> Run | None:
    """Return the innermost open run that was started in this thread or task, or in the code that made the task."""
    run = _innermost.get()
    while run is not None and run.is_finished:
        run = run.outer
    return run


def find_enclosing(run: Run | None) -> Run | None:
    """Return the innermost run, from `run` outwards, whose `with` block this thread or task is in."""
    while run is not None and (run.is_finished or not run.is_entered):
        run = run.outer
    return run


def find_run() -> Run | None:
    """Return the innermost open run of this thread or task, else the newest of the main thread, else the newest."""
    here = find_here()
    runs = _of_main or _runs
    return here or (runs[-1] if runs else None)


def shipper_for(address: Address) -> AnyShipper:
    """Return the shipper of an address. Raises RuntimeError while the process ends."""
    if is_over or sys.is_finalizing():  # a thread started now would never run, and `finish` would wait for it
        raise RuntimeError("the interpreter is going away")
    key = (address.url, address.topic)
    shipper = _shippers.get(key) or _shippers.setdefault(key, _make_shipper(address))
    shipper.address = address  # with the credentials of now, for the next connection: they may have been corrected
    return shipper


def _make_shipper(address: Address) -> AnyShipper:
    from gateway.client.agent.mode import agent_mode

    mode = agent_mode() if address.keeps else "off"
    if mode == "off":
        from gateway.client.shipping.shipper import Shipper

        return Shipper(address)
    from gateway.client.agent.follower import AgentShipper

    return AgentShipper(address, mode)


def stop_shippers() -> None:
    """End every shipper thread of this process."""
    while _shippers:
        _shippers.popitem()[1].stop()


def shut_down() -> None:
    """Stop all shippers and start none any more: the process ends."""
    global is_over
    is_over = True
    stop_shippers()


def after_fork() -> None:
    """
    Join the runs of the parent, with a lock that no thread of the parent holds. In the child only.

    Finished runs too: what the child records into one of them must not go to a journal that the parent still writes.
    """
    global implicit_lock, is_over
    implicit_lock, is_over = RLock(), False
    shippers = dict(_shippers)
    _shippers.clear()
    _late.clear()
    kept: list[
        object
    ] = []  # held before anything can raise: a shipper of the parent that is collected closes its sockets
    _inherited.append((shippers, kept))
    for run in list(_known):
        kept.append(run.after_fork())
