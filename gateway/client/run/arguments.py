"""
Convert the arguments of callers. An argument that does not fit is reported once and replaced; nothing raises by design.
"""

from __future__ import annotations

import os
from operator import index

from gateway.client.encoding.objects import fields_of, is_model
from gateway.client.encoding.typed import LEFT_OUT
from gateway.client.encoding.values import INT64, MAX_SECONDS, clean_name, micros, scalar, text_of
from gateway.client.guards import Refused, is_small, safe_repr, type_name, warn_lost
from gateway.client.notices import warn_once
from gateway.client.recording.report import STATUSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from gateway.client.encoding.objects import Fields
    from gateway.client.recording.report import Status

FINISH_TIMEOUT_S = 30.0
MAX_TIMEOUT_S = 31_536_000.0  # a year: an infinite timeout overflows in Thread.join
MAX_NESTING = 16  # levels of dicts in emit({...}); a dict below that stays one JSON value
MAX_ENTRIES = 100_000  # values in the nested dicts of one entry of emit({...})
DEEP_ENTRIES = 1_000  # how many of these a dict below MAX_NESTING counts for: it may be large


def flatten(entries: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """
    Return the entries of `emit({...})`; those of nested dicts are named `outer/inner`.

    A dict with too many values in it, because dicts in it are shared, stays one JSON value. A dict in itself is "…".
    """
    found: list[tuple[Any, Any]] = []
    for name, value in entries:
        inside: list[tuple[Any, Any]] = []
        if _has_entries(value) and _flatten(value, text_of(name), (), inside, [MAX_ENTRIES]):
            found += inside
        else:
            found.append((name, value))
    return found


def _has_entries(value: Any) -> bool:
    return issubclass(type(value), dict) and dict.__len__(value) > 0  # a subclass may measure itself in any way


def _flatten(
    outer: dict[Any, Any], path: str, around: tuple[int, ...], found: list[tuple[Any, Any]], left: list[int]
) -> bool:
    """Add the entries of a dict to `found`; False when `left` allows no more."""
    around = (*around, id(outer))
    for name, value in fields_of(outer) or ():
        inner = f"{path}/{text_of(name)}"
        if not _has_entries(value):
            left[0] -= 1
            found.append((inner, value))
        elif id(value) in around:
            left[0] -= 1
            found.append((inner, LEFT_OUT))
        elif len(around) < MAX_NESTING:
            if not _flatten(value, inner, around, found, left):
                return False
        else:
            left[0] -= DEEP_ENTRIES
            found.append((inner, value))
        if left[0] < 0:
            return False
    return True


def read_step(step: Any) -> int | None:
    """Return a step as an int; None means the next step. Raises Refused if it is no integer of 64 bits."""
    if step is None:
        return None
    number = step if type(step) is int else scalar(step)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int):
        raise Refused(
            "step",
            f"step {safe_repr(step)} is not an integer: count steps with an integer, and emit an epoch of 0.25 as a "
            "value of its own",
        )
    if not -INT64 <= number <= INT64:
        raise Refused("step", f"step {safe_repr(step)} has more than 64 bits: give a smaller one")
    return int(number)


def read_attempt(attempt: Any) -> int | None:
    """Return the number of an attempt as an int; None, which means the next attempt, if it is no integer."""
    if attempt is None:
        return None
    try:
        return index(scalar(attempt))  # type: ignore[arg-type]  # TypeError is the answer for anything else
    except Exception:  # noqa: BLE001 -- no integer, or the caller's object failed while read
        warn_once("attempt", f"attempt {safe_repr(attempt)} is not an integer: the next one is used")
        return None


def read_time(time: Any, now: int) -> int:
    """Return a time in µs; `now` if none is given. Raises Refused if it is no time between 1970 and 2100 or so."""
    if time is None:
        return now
    given = micros(time)
    if given is None:
        raise Refused("time", f"time {safe_repr(time)} {_fault_of(scalar(time))}")
    return given


def _fault_of(time: object) -> str:
    """Return what is wrong with a time that `micros` does not take, and what to give."""
    if isinstance(time, int | float) and time > MAX_SECONDS:
        for unit, factor in (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)):
            if time / factor <= MAX_SECONDS:
                return f"looks like {unit}: give seconds since 1970 (divide by {factor:,.0f}), or a datetime"
    return "is no time from 1970 on: give seconds since 1970, or a datetime"


def read_items(
    method: str, given: object, more: dict[str, Any], convert: Callable[[Any], Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Return what was passed to `method`, an object with fields and keyword arguments, as names and converted values.

    Returns them as they were given, too. Each is converted alone: one that cannot be is reported, and the others are
    kept.
    """
    kept: dict[str, Any] = {}
    as_given: dict[str, Any] = {}
    for items in (_read_fields(method, given), more.items()):
        names = set()
        for name, value in items:
            try:
                text = clean_name(name)
                kept[text], as_given[text] = convert(value), value
                names.add(text)
            except Exception as error:  # noqa: BLE001 -- the caller's object failed while read: this item is counted as lost
                warn_lost(method, f"{method}(): {safe_repr(name)} cannot be kept", error)
        if len(names) < len(items):
            warn_once("same-name", f"{method}(): names are the same as text: the last of them is kept")
    return kept, as_given


def _read_fields(method: str, given: Any) -> Fields:
    if given is None:
        return []
    try:
        found = fields_of(given, may_dump=not is_model(given) or is_small(given))
        return list(dict(given).items()) if found is None else found
    except Exception:  # noqa: BLE001 -- it has no fields, or the caller's object failed while read: it is reported
        warn_once(
            method,
            f"{method}() takes a dict, Namespace, dataclass, attrs or pydantic model, or DictConfig, not "
            f"{type_name(given)}: it is not kept; give vars(...) of an object",
        )
        return []


def read_status(status: str, message: str) -> tuple[Status, str]:
    """Return the status and message of an end; an unknown status becomes the message of a failure."""
    given = text_of(status)
    for known in STATUSES:
        if given == known:
            return known, text_of(message)  # type: ignore[return-value]  # mypy does not narrow a loop over a tuple
    warn_once("status", f"status {safe_repr(status)} is none of {', '.join(STATUSES)}: the run is marked failed")
    return "failed", text_of(message) or given


def read_timeout(given: Any) -> float:
    """Return how many seconds to wait: `given`, or finish_timeout() if that is None or not a number."""
    try:
        return finish_timeout() if given is None else min(max(0.0, float(given)), MAX_TIMEOUT_S)
    except (TypeError, ValueError, OverflowError):
        warn_once("timeout", f"timeout_s {safe_repr(given)} is no number of seconds: the default is used")
        return finish_timeout()


def finish_timeout() -> float:
    """Return how many seconds finish() waits by default: GATEWAY_FINISH_TIMEOUT_S, or 30."""
    given = os.environ.get("GATEWAY_FINISH_TIMEOUT_S")
    if given is None:
        return FINISH_TIMEOUT_S
    try:
        return min(max(0.0, float(given)), MAX_TIMEOUT_S)
    except ValueError:
        warn_once("timeout", f"GATEWAY_FINISH_TIMEOUT_S={given!r:.40} is no number of seconds: 30 is used")
        return FINISH_TIMEOUT_S
