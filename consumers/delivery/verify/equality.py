"""
Decide whether the text that a tracker holds represents the value that it received.

Pure. Trackers store text: `1e-05` and `1E-5`, `True` and `true`, `adam` and `"adam"`, JSON with or without spaces. Two
texts of one value are equal; a text of another value, or a part of one, is a difference.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.runtime.text import mask_unprintable
from schemas.values import BoolValue, DatetimeValue, FloatValue, IntValue, StringValue, Typed, to_plain, to_text

_LARGEST = 2**1_023  # an int below has a float64
# What str() writes of values for which JSON has another notation, or a text.
_AS_JSON = {"True": "true", "False": "false", "nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def is_same(value: Typed, text: str) -> bool:
    """Tell whether a text represents the value, and no other value of its type."""
    if text == to_text(value):
        return True
    plain, is_json = _parsed(text)
    match value:
        case FloatValue():
            return _is_number(value.value, text, plain)
        case IntValue():
            return plain == to_plain(value) and not isinstance(plain, bool)
        case BoolValue():
            return plain is value.value
        case StringValue():
            return isinstance(plain, str) and plain == value.value
        case DatetimeValue():
            return _instant(plain if isinstance(plain, str) else text) == value.value
        case _:
            return is_json and bool(_canonical(plain) == _canonical(to_plain(value)))


def is_cut(value: Typed, text: str, lengths: Sequence[int]) -> bool:
    """Tell whether a text is the value's text, cut at exactly one of these lengths, in characters."""
    whole = (to_text(value), json.dumps(to_plain(value), ensure_ascii=False), _canonical(to_plain(value)))
    return any(
        len(text) == length and len(one) > length and one[:length] == text for one in whole for length in lengths
    )


def normal_text(text: str) -> str:
    """Return one form for all notations of a value whose type is unknown: `1e2`, `100` and `"100"` are equal."""
    while True:
        plain, is_json = _parsed(_AS_JSON.get(text, text))
        if not isinstance(plain, str):
            return _canonical(plain) if is_json else text
        text = plain


def shown(value: Typed | str, most: int = 100) -> str:
    """Return a value as a report shows it: at most `most` characters, none of which can control a terminal."""
    text = value if isinstance(value, str) else to_text(value)
    return f"{mask_unprintable(text[:most])}…" if len(text) > most else mask_unprintable(text)


def _parsed(text: str) -> tuple[Any, bool]:
    try:
        return json.loads(text), True
    except (ValueError, RecursionError):
        return None, False


def _is_number(expected: float, text: str, plain: Any) -> bool:
    given = plain if isinstance(plain, str) else text  # JSON has no NaN: it is stored as a string
    try:
        found = float(given)
    except ValueError:
        return False
    return found == expected or (math.isnan(found) and math.isnan(expected))


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _canonical(plain: Any) -> str:
    return json.dumps(_numbers(plain), sort_keys=True, ensure_ascii=False)


def _numbers(plain: Any) -> Any:
    """Return JSON with each number in one notation: PostgreSQL's jsonb writes 1e20 as an integer of 21 digits."""
    match plain:
        case dict():
            return {name: _numbers(value) for name, value in plain.items()}
        case list():
            return [_numbers(value) for value in plain]
        case bool():
            return plain
        case int():
            as_float = float(plain) if abs(plain) < _LARGEST else math.inf
            return as_float if math.isfinite(as_float) and Decimal(repr(as_float)) == plain else plain
        case float():
            return plain + 0.0
        case _:
            return plain
