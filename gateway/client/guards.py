"""
The promise that nothing raises into training, for the methods that are not the hot path.

What a caller hands over may fail in any way while it is read: a `__str__` that raises, a dict that changes under
our hands, recursion without end. The call is then counted in `health()["notices"]`, said once, and training goes on.
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
    """Return a decorator for methods that must not raise; a call that could not be kept is counted under `name`."""

    def decorate(method: Method) -> Method:
        @wraps(method)
        def kept(*args: Any, **kwargs: Any) -> None:
            try:
                method(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 -- a stranger's object failed while read: this call is counted as lost
                warn_lost(name, f"{name}() cannot be kept", error)

        return kept  # type: ignore[return-value]  # same signature, which TypeVar cannot say without typing

    return decorate


def warn_lost(kind: str, what: str, error: Exception) -> None:
    """Count and say once that something is lost, whatever is wrong with the error itself."""
    try:
        warn_once(kind, f"{what} ({safe_repr(error, 200)})")
    except RecursionError:
        return  # the stack is used up to its last frame: there is no room to say anything


def safe_repr(value: object, limit: int = 60) -> str:
    """Return `repr(value)` for a notice, or the name of its type when that fails."""
    try:
        return repr(value)[:limit]
    except Exception:  # noqa: BLE001 -- a stranger's __repr__; the notice names the type in its place
        return f"<{type(value).__name__}>"
