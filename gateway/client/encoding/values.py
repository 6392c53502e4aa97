"""
Text, names, numbers and times of whatever callers pass, in the form of the contract (schemas/ reads the result).

Nothing here imports numpy, torch or pandas: an object with `.item()` is a scalar, and one with `__index__` or
`__float__` (Decimal, Fraction, longdouble) is a number. What a caller's object does when it is read, the caller of this
module guards against, one value at a time.
"""

from __future__ import annotations

import json
import math
from time import time_ns

from gateway.client.encoding.moments import instant, micros_of
from gateway.client.guards import MAX_PARTS, Refused, is_small, type_name
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MAX_NAME = 1_024  # characters, and bytes in UTF-8, as schemas/bounds.py has them
MAX_TEXT = 131_072  # characters; with each escaped to six bytes, they still fit into a Kafka record of 1 MiB
MAX_LABELS = 16_384  # characters of all labels of a series: every record of the series repeats them
MAX_DIGITS = 4_300  # of an integer, as schemas/bounds.py has them
EXACT = 2**53  # integers up to here are exact in a float64
INT64 = 2**63 - 1
MAX_SECONDS = 4_102_444_800  # 2100-01-01: a larger number is no count of seconds, but of ms, µs or ns
MAX_TIME = 253_402_300_799_999_999  # µs: the end of the year 9999, the last that RFC 3339 can write
MAX_NANOS = 2**64 - 1  # ns: the year 2554

dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False).encode


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Return text that UTF-8 and PostgreSQL can hold, cut to `limit`; U+FFFD replaces NUL and lone surrogates."""
    if type(text) is not str:
        text = str.__str__(text)  # a subclass may encode or measure itself in any way
    if len(text) > limit:
        warn_once("long-text", f"text of {len(text):,} characters is cut to the first {limit:,}")
        text = cut(text, limit)
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", "\ufffd")


def cut(text: str, limit: int) -> str:
    """Return the start of a text that is too long, and a mark with its length, in `limit` characters."""
    mark = f"… (cut from {len(text):,} characters)"
    return text[: limit - len(mark)] + mark


def clean_name(name: object) -> str:
    """Return a name of 1 to 1,024 characters. Warns once for each kind of change."""
    text = name if type(name) is str else text_of(name)
    if text is not name and not issubclass(type(name), str):
        warn_once("name-type", f"a name is text, not {type_name(name)}: its text is used")
    if not text:
        warn_once("name-empty", "a name is empty: 'unnamed' is used")
        return "unnamed"
    if len(text) > MAX_NAME:
        warn_once("name-long", f"a name of {len(text):,} characters is cut to the first {MAX_NAME:,}: {text[:40]!r}…")
        text = text[:MAX_NAME]
    text = clean(text, MAX_NAME)
    return text if text.isascii() else cut_bytes(text, MAX_NAME)


def cut_bytes(name: str, limit: int) -> str:
    """Return the start of a name that has at most `limit` bytes in UTF-8."""
    encoded = name.encode()
    if len(encoded) <= limit:
        return name
    warn_once("name-bytes", f"a name of {len(encoded):,} bytes is cut to the first {limit:,}: {name[:40]!r}…")
    return encoded[:limit].decode(errors="ignore")


def clean_labels(labels: Mapping[Any, Any]) -> tuple[tuple[str, str], ...]:
    """Return the labels of a series, sorted by name. Raises Refused when they are too long."""
    found = {clean_name(name): clean(text_of(text), MAX_NAME) for name, text in labels.items()}
    if len(found) > MAX_LABELS // (2 * MAX_NAME):
        size = sum(len(name) + len(text) for name, text in found.items())
        if size > MAX_LABELS:
            raise Refused("labels", f"labels of {size:,} characters: give at most {MAX_LABELS:,}, or use set_labels()")
    return tuple(sorted(found.items()))


def text_of(value: object) -> str:
    """Return `str(value)`, or the name of its type when that fails or has no end."""
    kind = type(value)
    if kind is str or kind is float:
        return value if kind is str else repr(value)  # type: ignore[return-value]  # mypy does not know `kind is str`
    try:
        if kind is int:
            return repr(value)  # fails beyond sys.get_int_max_str_digits()
        if not issubclass(kind, str):
            if not is_small(value):
                return f"<{type_name(value)} with more than {MAX_PARTS:,} parts>"
            value = str(value)
        return str.__str__(value)
    except Exception:  # noqa: BLE001 -- the caller's __str__ failed: the event is kept with the type's name instead
        return f"<{type_name(value)}>"


_as_float, _as_int = float.__float__, int.__int__  # of a subclass too, whose own methods may do anything


def scalar(value: object) -> object:
    """Return the Python number of a number or scalar of any library, or its text; any other object unchanged."""
    kind = type(value)
    if issubclass(kind, float):
        return _as_float(value)  # type: ignore[arg-type]  # numpy.float64 is a float
    if kind is bool:
        return value
    if issubclass(kind, int):
        return _as_int(value)  # type: ignore[arg-type]  # an IntEnum is an int
    if issubclass(kind, type | dict | list | tuple | str):
        return value
    try:
        item = getattr(value, "item", None)
        if item is None:
            return _number(value, kind)
        found = item()
        return found if kind in _exact_items else _item(value, kind, found)
    except Exception:  # noqa: BLE001 -- an array of many values, or the caller's method failed: the object itself is kept
        return value


def _item(value: Any, kind: type, found: object) -> object:
    """Return what `.item()` gave, unless it is no number or text, is masked, or counts the time units of numpy."""
    if isinstance(found, str | complex):
        return found
    if not isinstance(found, float | int):
        return _number(value, kind)
    if kind.__name__.startswith("Masked") and value.mask:
        return math.nan
    if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
        return value
    if kind.__module__ == "numpy" and kind.__name__.startswith(("float", "int", "uint", "bool")):
        _exact_items.add(kind)  # a class of numpy's numbers, of which there are some ten
    return scalar(found)


_exact_items: set[type] = set()  # classes whose `.item()` is a Python number, and nothing else has to be checked


def _number(value: Any, kind: type) -> object:
    """Return the int or float64 of an object that is a number: itself where a float64 cannot hold it."""
    if hasattr(kind, "__index__"):
        return _as_int(value.__index__())
    if not hasattr(kind, "__float__"):
        return value
    number = float(value)
    if math.isinf(number):
        return number if value == number else value  # Decimal("1e400") is no infinity
    if math.isnan(number) or abs(number) <= EXACT or value == number:
        return number
    whole = int(value)
    return whole if value == whole else number


def is_point(value: object) -> bool:
    """Return whether the value is a metric point: a float, or an int that float64 holds exactly."""
    return type(value) is float or (type(value) is int and -EXACT <= value <= EXACT)


def float_to_json(value: float) -> float | str:
    """Return the value as JSON can hold it: NaN and infinities as strings."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def now() -> int:
    """Return the current time in µs since 1970; 0 when the clock is before 1970."""
    return fit_clock(time_ns()) // 1_000


def fit_clock(nanos: int) -> int:
    """Return a time of the clock (ns) limited to what the journal can hold: 1970 to 2554."""
    if 0 <= nanos <= MAX_NANOS:
        return nanos
    warn_once("clock", "the clock is not between 1970 and 2554: the nearer of them is recorded")
    return 0 if nanos < 0 else MAX_NANOS


def micros(time: object) -> int | None:
    """Return epoch seconds or a datetime (naive: local time) as µs since 1970; None when it is neither."""
    moment = None if type(time) is float or type(time) is int else _instant(time)
    if moment is not None:
        found, most = micros_of(moment), MAX_TIME
    else:
        seconds = scalar(time)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
            return None
        found, most = round(seconds * 1_000_000), MAX_SECONDS * 1_000_000  # a float64 is exact to 0.25 µs here
    return found if 0 <= found <= most else None


def _instant(time: object) -> Any:
    try:
        return instant(time)
    except Exception:  # noqa: BLE001 -- pandas.NaT, datetime.min, or the caller's tzinfo failed
        return None
