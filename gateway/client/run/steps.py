"""
Named steps of a run: which steps are open in which thread or task, and which attempt each is.

A point belongs to the innermost step open in its own thread or asyncio task. A thread that opened no step belongs to
the step its run has open, so that worker threads started inside a step count as part of it.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import wraps
from itertools import count, pairwise

from gateway.client.guards import never_raises
from gateway.client.journal.series import MAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token
    from types import TracebackType
    from typing import Any, TypeVar

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.recorder import Recorder

    Function = TypeVar("Function", bound=Callable[..., Any])

MAX_ATTEMPT = 2**31 - 1
CO_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect itself takes 10 ms to import


class _Open:
    """A step that was entered and not left yet."""

    __slots__ = ("context", "outer")

    def __init__(self, context: StepContext, outer: _Open | None) -> None:
        self.context = context
        self.outer = outer  # the step around it in the same thread or task, of any run


# Called with the run before the end of a named step, or of the run, is recorded, in the thread that ends it; for
# dialects. A call must not raise.
before_end: list[Callable[[Any], None]] = []
_innermost: ContextVar[_Open | None] = ContextVar("gateway_step", default=None)


class Steps:
    """
    The open steps of one run in this process. Keeps `recorder.context` up to date.

    No call waits for a lock: a signal handler may enter a step while its thread enters or leaves one.
    """

    def __init__(self, recorder: Recorder, run: object = None) -> None:
        self.recorder = recorder
        self.run = run  # it cannot be imported here; only pickle needs it
        self._main: StepContext = (MAIN, recorder.attempt, recorder.labels)
        self._open: list[_Open] = []
        self._attempts: dict[str, count[int]] = {}  # the next attempt of each step
        recorder.context = self._main

    def here(self) -> StepContext:
        """Return the context of a point recorded now in this thread or task, while steps are open side by side."""
        step = _innermost.get()
        still_open = list(self._open)
        while step is not None:
            if step in still_open:
                return step.context
            step = step.outer
        return still_open[0].context if still_open else self._main

    def enter(self, name: str, attempt: int | None) -> _Open:
        """Open a step and return it. `attempt` None is the one after the last, and at first that of the run."""
        if attempt is None:
            attempt = min(
                next(self._attempts.get(name) or self._attempts.setdefault(name, count(self._main[1]))), MAX_ATTEMPT
            )
        else:
            attempt = min(max(attempt, 1), MAX_ATTEMPT)
            self._attempts[name] = count(attempt + 1)
        opened = _Open((name, attempt, self._main[2]), _innermost.get())
        self._open.append(opened)
        self._set_context()
        return opened

    def leave(self, opened: _Open) -> None:
        """Close a step."""
        if opened in self._open:
            self._open.remove(opened)
        self._set_context()

    def _set_context(self) -> None:
        while True:
            steps = list(self._open)
            nested = all(_is_inside(inner, outer) for outer, inner in pairwise(steps))
            self.recorder.context = (steps[-1].context if steps else self._main) if nested else None
            if steps == self._open:
                return  # otherwise another thread or a signal handler has entered or left a step meanwhile


def _is_inside(inner: _Open, outer: _Open) -> bool:
    step = inner.outer
    while step is not None:
        if step is outer:
            return True
        step = step.outer
    return False


class Step:
    """A named step: a context manager, and a decorator for functions and coroutine functions."""

    def __init__(self, steps: Steps, name: str, attempt: int | None, step_type: str) -> None:
        self.name = name
        self.attempt = attempt  # None until the step is entered, unless it was given
        self._given = attempt
        self._steps = steps
        self._type = step_type
        self._entered: list[tuple[_Open, Token[_Open | None]]] = []

    def __enter__(self) -> Step:
        opened = self._steps.enter(self.name, self._given)
        self.attempt = opened.context[1]
        self._entered.append((opened, _innermost.set(opened)))
        self._record("step_started", opened, name=self.name, step_type=self._type)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from gateway.client.encoding.values import clean
        from gateway.client.recording.report import status_of

        entry = self._find_entered()
        if entry is None:
            return  # it was not entered, or is left already
        opened, token = entry
        for call in before_end:
            call(self._steps.run)
        status, message = status_of(error)
        status_text = "success" if status == "finished" else "fail"
        self._record("step_finished", opened, status=status_text, message=clean(message))
        self._steps.leave(opened)
        try:
            _innermost.reset(token)
        except ValueError:  # entered in another thread or task, for example by a generator
            _innermost.set(opened.outer)

    def _find_entered(self) -> tuple[_Open, Token[_Open | None]] | None:
        """Take the entry that this thread or task made last; the last one of any if it made none."""
        mine, step = list(self._entered), _innermost.get()
        while step is not None and all(one[0] is not step for one in mine):
            step = step.outer
        found = next((one for one in reversed(mine) if step is None or one[0] is step), None)
        if found is not None:
            self._entered.remove(found)
        return found

    def __reduce__(self) -> tuple[object, ...]:
        return _reopen, (self._steps.run, self.name, self._given, self._type)

    def __call__(self, function: Function) -> Function:
        """Return the function with this step around each call."""
        code = getattr(function, "__code__", None)  # None for built-in functions and objects with __call__
        if code is not None and code.co_flags & CO_COROUTINE:

            @wraps(function)
            async def stepped(*args: Any, **kwargs: Any) -> Any:
                with self._copy():
                    return await function(*args, **kwargs)
        else:

            @wraps(function)
            def stepped(*args: Any, **kwargs: Any) -> Any:
                with self._copy():
                    return function(*args, **kwargs)

        return stepped  # type: ignore[return-value]  # same signature, which TypeVar cannot say without typing

    def _copy(self) -> Step:
        return Step(self._steps, self.name, self._given, self._type)

    @never_raises("step")
    def _record(self, kind: str, opened: _Open, **body: Any) -> None:
        self._steps.recorder.record(kind, step_name=opened.context[0], attempt=opened.context[1], **body)


def _reopen(run: Any, name: str, attempt: int | None, step_type: str) -> Any:
    """Return the step that was pickled, of the run in this process."""
    return run.step(name, attempt=attempt, step_type=step_type)
