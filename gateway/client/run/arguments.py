"""
Convert the arguments of callers. An argument that does not fit is reported once and replaced; nothing raises by design.
"""

from __future__ import annotations

import os
from operator import index

from gateway.client.encoding.values import micros, scalar, text_of
from gateway.client.guards import safe_repr
from gateway.client.notices import warn_once
from gateway.client.recording.report import STATUSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gateway.client.recording.report import Status

FINISH_TIMEOUT_S = 30.0
MAX_TIMEOUT_S = 31_536_000.0  # a year: an infinite timeout overflows in Thread.join
MAX_NESTING = 16  # levels of dicts in emit({...}); a dict below that stays one JSON value


def flatten(entries: list[tuple[Any, Any]], prefix: str = "", depth: int = 0) -> list[tuple[Any, Any]]:
    """Return the entries of `emit({...})`; those of nested dicts are named `outer/inner`."""
    found: list[tuple[Any, Any]] = []
    for name, value in entries:
        path = f"{prefix}{text_of(name)}" if prefix else name
        if isinstance(value, dict) and value and depth < MAX_NESTING:
            found += flatten(list(value.items()), f"{text_of(path)}/", depth + 1)
        else:
            found.append((path, value))
    return found


def read_step(step: Any) -> int | None:
    """Return a step as an int; None, which means the next step, if it is no integer."""
    if step is None:
        return None
    number = scalar(step)
    if isinstance(number, float) and number.is_integer():
        return int(number)
    try:
        return index(number)  # type: ignore[arg-type]  # TypeError is the answer for anything else
    except TypeError:
        warn_once("step", f"step {safe_repr(step)} is not an integer: the next step of the series is used")
        return None


def read_attempt(attempt: Any) -> int | None:
    """Return the number of an attempt as an int; None, which means the next attempt, if it is no integer."""
    if attempt is None:
        return None
    try:
        return index(scalar(attempt))  # type: ignore[arg-type]  # TypeError is the answer for anything else
    except TypeError:
        warn_once("attempt", f"attempt {safe_repr(attempt)} is not an integer: the next one is used")
        return None


def read_time(time: Any, now: int) -> int:
    """Return a time in µs; `now` if no time is given, or none that can be used."""
    if time is None:
        return now
    given = micros(time)
    if given is None:
        warn_once("time", f"time {safe_repr(time)} is neither epoch seconds nor a datetime: now is used")
        return now
    return given


def read_mapping(method: str, given: Mapping[str, Any] | None, more: dict[str, Any]) -> dict[Any, Any]:
    """Return the dict and the keyword arguments passed to `method` as one dict."""
    if given is None:
        return more
    try:
        return {**dict(given), **more}
    except (TypeError, ValueError):
        warn_once(method, f"{method}() takes a dict, not {type(given).__name__}: it is not kept")
        return more


def read_status(status: str, message: str) -> tuple[Status, str]:
    """Return the status and message of an end; an unknown status becomes the message of a failure."""
    for known in STATUSES:
        if status == known:
            return known, text_of(message)  # type: ignore[return-value]  # mypy does not narrow a loop over a tuple
    warn_once("status", f"status {safe_repr(status)} is none of {', '.join(STATUSES)}: the run is marked failed")
    return "failed", text_of(message or status)


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
