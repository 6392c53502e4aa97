"""
Columns of numbers as JSON text: what `repr` of the list gives, without spaces, several times faster.

The same numbers give the same bytes on every machine, with orjson or without it, whatever its release: a journal may be
cut again elsewhere. So `repr` says how a float is written, and where orjson writes another form of the same digits
(0.000012 and 1.2e-6, not 1.2e-05 and 1.2e-06) it is changed here. That the digits are the same is no luck: both give
the shortest that read back as the same float64, and of these the nearest.

orjson is used where it can be imported. It is not loaded before the first cut: that is the shipper's work.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

try:
    # orjson imports these too, but with a module missing or hidden by a file of the same name it ends the process.
    import dataclasses  # noqa: F401
    import enum  # noqa: F401
    import json  # noqa: F401
    import uuid  # noqa: F401
    import zoneinfo  # noqa: F401

    from orjson import dumps as _dumps
except Exception:  # noqa: BLE001 -- whatever hides one of them: the same bytes are written without orjson
    _dumps = None  # type: ignore[assignment]  # a function or nothing

# repr() writes exponents in two digits at least.
_SHORT_EXPONENTS = tuple((b"e-%d," % digit, b"e-0%d," % digit) for digit in range(5, 10))
_SMALL = re.compile(rb"\b0\.0000([1-9])([0-9]*)")  # 1e-5 to 1e-4, where repr() begins to use exponents


def integers(numbers: Sequence[int]) -> bytes:
    """Return integers as a JSON array."""
    try:
        return _dumps(numbers) if _dumps is not None else slow(numbers)
    except TypeError:  # one has more than 64 bits: a journal that somebody else wrote
        return slow(numbers)


def floats(numbers: Sequence[float]) -> bytes:
    """Return finite floats as a JSON array."""
    if _dumps is None:
        return slow(numbers)
    text = _dumps(numbers)
    if b"e" in text:
        text = text[:-1] + b","
        for short, padded in _SHORT_EXPONENTS:
            text = text.replace(short, padded)
        text = text[:-1] + b"]"
        if text.count(b"e") != text.count(b"e-"):  # 1e16 and more: orjson's releases differ in the sign
            return slow(numbers)
    if b"0.0000" in text:
        parts = _SMALL.split(text)  # between, first digit, the others, between, …
        parts[2::3] = [b".%be-05" % others if others else b"e-05" for others in parts[2::3]]
        return b"".join(parts)
    return text


def slow(numbers: Sequence[float]) -> bytes:
    """Return numbers as a JSON array, by the definition of the bytes."""
    return repr(list(numbers)).replace(", ", ",").encode()
