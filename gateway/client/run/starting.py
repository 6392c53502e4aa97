"""
Calls that a thread makes while it is in the middle of starting a run.

A signal handler, a destructor or the garbage collector may call `gateway.emit` at any moment, also while its own thread
starts a run. There is no run yet, and waiting for it would be for ever, because the thread continues only after the
call. So the call is kept, and made as soon as the run is there.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from functools import wraps

from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from gateway.client.run.run import Run

    Start = TypeVar("Start", bound=Callable[..., Run])

_starting: dict[int, StartingRun] = {}  # by thread


class StartingRun:
    """Has the methods of a run, and keeps the calls."""

    def __init__(self) -> None:
        self._calls: deque[tuple[str, tuple[Any, ...], dict[str, Any]]] = deque()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **more: self._calls.append((name, args, more))

    def step(self, *_: object, **__: object) -> NoStep:
        """Return a step that records nothing: what is emitted inside belongs to the step of the run."""
        return NoStep()

    def make_calls(self, run: Run | None) -> None:
        """Make the calls that were kept; report them as lost if the run could not be started."""
        while self._calls:
            name, args, more = self._calls.popleft()
            if run is not None:
                getattr(run, name)(*args, **more)
            else:
                warn_once("starting", f"{name}() of a signal handler or destructor is lost: its run did not start")


class NoStep:
    """A named step that is not recorded."""

    def __enter__(self) -> NoStep:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function itself."""
        return function


def find_starting() -> StartingRun | None:
    """Return what stands for the run that this thread is starting; None if it starts none."""
    return _starting.get(get_ident())


def after_fork() -> None:
    """Forget the other threads of the parent: a thread of this child may get the number of one. In the child only."""
    mine = find_starting()
    _starting.clear()
    if mine is not None:
        _starting[get_ident()] = mine


def starts(start: Start) -> Start:
    """Return a decorator for functions that start a run: calls of the same thread meanwhile are made on that run."""

    @wraps(start)
    def started(*args: Any, **more: Any) -> Run:
        thread = get_ident()
        if thread in _starting:
            return start(*args, **more)  # it is inside another start, which makes the calls
        kept = _starting[thread] = StartingRun()
        run = None
        try:
            run = start(*args, **more)
        finally:
            _starting.pop(thread, None)
            kept.make_calls(run)
        return run

    return started  # type: ignore[return-value]  # same signature, which TypeVar cannot say without typing
