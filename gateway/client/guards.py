"""
Keep the promise that nothing raises into training, for the methods that are not the hot path.

A value that a caller passes may fail in any way while it is read: a `__str__` that raises, a dict that changes during
iteration, endless recursion. The call is then counted in `health()["notices"]` and reported once, and training
continues. Reading a value is bounded as well: a list that holds itself, or one list shared a thousand times, has a
short repr() or none that ends.
"""

from __future__ import annotations

from functools import wraps

from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Method = TypeVar("Method", bound=Callable[..., Any])

MAX_PARTS = 40_000  # of a structure whose text is written: with more, its text is longer than any that is kept


class Refused(Exception):
    """A value is not kept. The message states what is wrong with it and what to give instead."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind  # of the notice that counts it


def never_raises(name: str) -> Callable[[Method], Method]:
    """Return a decorator for methods that must not raise; one that fails returns None and is counted under `name`."""

    def decorate(method: Method) -> Method:
        @wraps(method)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 -- the caller's object failed while read: this call is counted as lost
                warn_lost(name, f"{name}() cannot be kept", error)
                return None

        return guarded  # type: ignore[return-value]  # same signature, which TypeVar cannot say without typing

    return decorate


def warn_lost(kind: str, what: str, error: Exception) -> None:
    """Count a loss, and report the first of its kind. Does not raise, even if `error` itself cannot be printed."""
    try:
        warn_once(kind, f"{what} ({safe_repr(error, 200)})")
    except RecursionError:
        return  # no stack frame is left to report anything


def warn_refused(method: str, name: object, error: Exception) -> None:
    """Count a value that was not kept, and report the first of its kind. Does not raise."""
    if isinstance(error, Refused):
        try:
            warn_once(error.kind, f"{method}({safe_repr(name)}): {error}. It is counted as dropped")
        except RecursionError:
            return
    else:
        warn_lost(method, f"{method}({safe_repr(name)}) cannot be kept and is counted as dropped", error)


def safe_repr(value: object, limit: int = 60) -> str:
    """Return the first `limit` characters of `repr(value)`, or the name of its type if `repr` fails or has no end."""
    try:
        return repr(value)[:limit] if is_small(value) else f"<{type_name(value)} with more than {MAX_PARTS:,} parts>"
    except Exception:  # noqa: BLE001 -- the caller's __repr__ failed; the notice names the type instead
        return f"<{type_name(value)}>"


def type_name(value: object) -> str:
    """Return the name of a type, whatever its metaclass does."""
    return str(_NAME(type(value)))


_NAME = vars(type)["__name__"].__get__


def is_small(value: object, limit: int = MAX_PARTS) -> bool:
    """Return whether a structure has at most `limit` parts. What is reached twice counts twice. Runs no code of it."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        limit -= 1
        if type(one) in _LEAVES:
            continue
        inside = _parts(one, limit - len(waiting))
        if inside is None:
            return False
        waiting += inside
    return limit >= 0


def _parts(value: Any, most: int) -> list[Any] | None:
    """Return what is in a container, a dataclass or another object of fields; None when it is more than `most`."""
    kind = type(value)
    for known in _SEQUENCES:
        if issubclass(kind, known):
            # Methods of the built-in type: those of the caller's may fail, or never end.
            return [*known.__iter__(value)] if known.__len__(value) <= most else None
    if issubclass(kind, dict):
        return [*dict.keys(value), *dict.values(value)] if 2 * dict.__len__(value) <= most else None
    for base in kind.__mro__:
        for mark in _FIELDS:
            if mark in base.__dict__:
                slots = [getattr(value, name, None) for name in base.__dict__.get("__slots__", ())]
                found = [*getattr(value, "__dict__", {}).values(), *slots]
                return found if len(found) <= most else None
    return []


_LEAVES = frozenset({str, int, float, bool, bytes, type(None)})
_SEQUENCES = (list, tuple, set, frozenset)
# Classes whose repr() writes their fields: dataclass, attrs, pydantic.
_FIELDS = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__", "__fields__")
