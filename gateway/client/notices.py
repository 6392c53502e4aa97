"""
Say it once, on stderr, in one line, and never raise.

Not `warnings.warn`: under `-W error` that raises into training. Not `logging`: a training script's own logging
set-up would decide whether anybody learns that points are missing.
"""

from __future__ import annotations

import sys

_said: set[str] = set()
counts: dict[str, int] = {}  # how often each kind of notice had reason to be said, in this process


def warn(text: str) -> None:
    """Write one line to stderr. A closed or missing stderr is not an error."""
    stream = sys.stderr
    if stream is None:
        return
    try:
        stream.write(f"gateway: {text}\n")
        stream.flush()
    except (OSError, ValueError):
        return  # nobody is left to read it


def warn_once(kind: str, text: str) -> None:
    """Count one case of `kind`; write the line for the first of them in this process."""
    counts[kind] = counts.get(kind, 0) + 1
    if kind not in _said:
        _said.add(kind)
        warn(text)


def forget() -> None:
    """Start counting again. For a forked child, and for tests."""
    _said.clear()
    counts.clear()
