"""
Encode columns of numbers as JSON: `repr` of the list without spaces, but several times faster.

The same numbers give the same bytes on every machine, with or without orjson and with any release of it, because a
journal may be cut again elsewhere. So `repr` defines how a float is written, and where orjson writes the same digits in
another form (0.000012 and 1.2e-6, not 1.2e-05 and 1.2e-06), this module changes it. The digits are equal by definition:
both write the shortest digits that read back as the same float64, and among these the nearest.

orjson is used where it can be imported. The shipper imports it with the first cut, not earlier.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

try:
    # orjson imports these too, but it ends the process when one is missing or hidden by a file of the same name.
    import dataclasses  # noqa: F401
    import enum  # noqa: F401
    import json  # noqa: F401
    import uuid  # noqa: F401
    import zoneinfo  # noqa: F401

    from orjson import dumps as _dumps
except Exception:  # noqa: BLE001 -- one of them is missing or hidden: the same bytes are written without orjson
    _dumps = None  # type: ignore[assignment]  # a function or nothing

# repr() writes exponents with at least two digits.
_SHORT_EXPONENTS = tuple((b"e-%d," % digit, b"e-0%d," % digit) for digit in range(5, 10))
_SMALL = re.compile(rb"\b0\.0000([1-9])([0-9]*)")  # 1e-5 to 1e-4, where repr() already uses exponents


def integers(numbers: Sequence[int]) -> bytes:
    """Return integers as a JSON array."""
    try:
        return _dumps(numbers) if _dumps is not None else slow(numbers)
    except TypeError:  # more than 64 bits: another program wrote the journal
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
        if text.count(b"e") != text.count(
            b"e-"
        ):  # 1e16 and more: releases of orjson differ in the sign of the exponent
            return slow(numbers)
    if b"0.0000" in text:
        parts = _SMALL.split(text)  # text between, first digit, other digits, text between, …
        parts[2::3] = [b".%be-05" % others if others else b"e-05" for others in parts[2::3]]
        return b"".join(parts)
    return text


def slow(numbers: Sequence[float]) -> bytes:
    """Return numbers as a JSON array. This defines the bytes."""
    return repr(list(numbers)).replace(", ", ",").encode()
