"""
Warn in one line on stderr, once per kind if it may repeat, and never raise.

Not `warnings.warn`: under `-W error` that raises into training. Not `logging`: the logging configuration of a training
script would decide whether a person learns that points are missing.
"""

from __future__ import annotations

import sys

_warned: set[str] = set()
counts: dict[str, int] = {}  # how many notices of each kind there were in this process, printed or not


def warn(text: str) -> None:
    """Write one line to stderr, printable whatever the text holds. A stderr that is missing or fails is no error."""
    if not text.isprintable():
        text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    stream = sys.stderr
    if stream is None:
        return
    try:
        stream.write(f"gateway: {text}\n")
        stream.flush()
    except Exception:  # noqa: BLE001 -- closed, without flush, or in the middle of a write of the same thread
        return


def warn_once(kind: str, text: str) -> None:
    """Count one notice of `kind`; write the line if it is the first of that kind in this process."""
    counts[kind] = counts.get(kind, 0) + 1
    if kind not in _warned:
        _warned.add(kind)
        warn(text)


def tell(kind: str, text: str) -> None:
    """Count one notice of `kind`, and write its line: for what is rare, and means something else each time."""
    counts[kind] = counts.get(kind, 0) + 1
    warn(text)


def reset() -> None:
    """Forget all notices and counts. For a forked child, and for tests."""
    _warned.clear()
    counts.clear()
