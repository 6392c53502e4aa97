"""
Tell whether an object is a tracker, before any event is read: what it lacks, and what cannot be called as it will be.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

_TAKES = {
    "deliver": ("run_id", "envelopes", "state"),
    "read_back": ("run_id", "state"),
    "open": ("settings",),
    "close": (),
}


def misfit(tracker: object) -> str:
    """Return what is wrong with an object that should be a tracker, "" when nothing is."""
    parts = {name: getattr(tracker, name, None) for name in _TAKES}
    if missing := [name for name, part in parts.items() if not callable(part)]:
        return f"has no {', '.join(missing)}"
    for name, part in parts.items():
        if error := _refused(part, _TAKES[name]):
            return f"cannot be called as {name}({', '.join(_TAKES[name])}): {error}"
    lost = getattr(tracker, "cannot_hold", None)
    if isinstance(lost, str) or not isinstance(lost, Sequence) or not all(isinstance(line, str) for line in lost):
        return "has no list of texts `cannot_hold`"
    size = getattr(tracker, "call_bytes", 1)
    if type(size) is not int or size < 1:
        return f"has `call_bytes` = {size!r:.80}, which is no number of bytes"
    return ""


def _refused(part: Callable[..., Any] | None, given: Sequence[object]) -> str:
    assert part is not None
    try:
        signature = inspect.signature(part)
    except ValueError:
        return ""  # written in C: the first call shows it
    try:
        signature.bind(*given)
    except TypeError as error:
        return str(error)
    return ""
