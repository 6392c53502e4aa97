"""
Keep the promise that nothing raises into training, for the methods that are not the hot path.

A value that a caller passes may fail in any way while it is read: a `__str__` that raises, a dict that changes during
iteration, endless recursion. The call is then counted in `health()["notices"]` and reported once, and training
continues.
"""

from __future__ import annotations

from functools import wraps

from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Method = TypeVar("Method", bound=Callable[..., None])


def never_raises(name: str) -> Callable[[Method], Method]:
    """Return a decorator for methods that must not raise; a call that fails is counted under `name`."""

    def decorate(method: Method) -> Method:
        @wraps(method)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                method(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 -- the caller's object failed while read: this call is counted as lost
                warn_lost(name, f"{name}() cannot be kept", error)

        return guarded  # type: ignore[return-value]  # same signature, which TypeVar cannot say without typing

    return decorate


def warn_lost(kind: str, what: str, error: Exception) -> None:
    """Count a loss, and report the first of its kind. Does not raise, even if `error` itself cannot be printed."""
    try:
        warn_once(kind, f"{what} ({safe_repr(error, 200)})")
    except RecursionError:
        return  # no stack frame is left to report anything


def safe_repr(value: object, limit: int = 60) -> str:
    """Return the first `limit` characters of `repr(value)`, or the name of its type if `repr` fails."""
    try:
        return repr(value)[:limit]
    except Exception:  # noqa: BLE001 -- the caller's __repr__ failed; the notice names the type instead
        return f"<{type(value).__name__}>"
