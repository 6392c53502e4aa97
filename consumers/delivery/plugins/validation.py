"""
Check that an object is a tracker before any event is read: what it lacks, and what cannot be called as required.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

_PARAMETERS = {
    "deliver": ("run_id", "envelopes", "state"),
    "read_back": ("run_id", "state"),
    "open": ("settings",),
    "close": (),
}


def misfit(tracker: object) -> str:
    """Return what is wrong with an object that should be a tracker, "" when nothing is."""
    methods = {name: getattr(tracker, name, None) for name in _PARAMETERS}
    if missing := [name for name, method in methods.items() if not callable(method)]:
        return f"has no {', '.join(missing)}"
    for name, method in methods.items():
        if error := _signature_error(method, _PARAMETERS[name]):
            return f"cannot be called as {name}({', '.join(_PARAMETERS[name])}): {error}"
    losses = getattr(tracker, "cannot_hold", None)
    if isinstance(losses, str) or not isinstance(losses, Sequence) or not all(isinstance(line, str) for line in losses):
        return "has no list of texts `cannot_hold`"
    size = getattr(tracker, "call_bytes", 1)
    if type(size) is not int or size < 1:
        return f"has `call_bytes` = {size!r:.80}, which is no number of bytes"
    return ""


def _signature_error(method: Callable[..., Any] | None, parameters: Sequence[object]) -> str:
    assert method is not None
    try:
        signature = inspect.signature(method)
    except ValueError:
        return ""  # written in C: the first call will show it
    try:
        signature.bind(*parameters)
    except TypeError as error:
        return str(error)
    return ""
