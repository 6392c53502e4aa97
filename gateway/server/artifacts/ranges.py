"""
Read the header `Range` of a request (RFC 9110, section 14). Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ONE = re.compile(r"(\d{0,19})-(\d{0,19})")  # longer numbers are no offset of any file


class Unsatisfiable(Exception):
    """No byte of the range exists: the answer is 416."""


class Part(NamedTuple):
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def read_range(header: str, size: int) -> Part | None:
    """
    Return the part of `size` bytes that a header `Range` asks for; None for the whole. Raises Unsatisfiable.

    Several ranges, other units and what is no range are answered with the whole, as section 14.2 allows.
    """
    unit, _, ranges = header.partition("=")
    found = _ONE.fullmatch(ranges.strip())
    if unit.strip().lower() != "bytes" or found is None or not (found[1] or found[2]):
        return None
    first, last = found[1], found[2]
    if first and last and int(first) > int(last):
        return None
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise Unsatisfiable
    return Part(start, end)
