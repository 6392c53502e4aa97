"""
Convert the values that training code emits to the value types of the contract (schemas/values.py reads the result).

This runs in the caller's thread, so that a list or tensor that changes later is kept as it was. Nothing here imports
numpy, torch or pydantic: an object with `.item()` is a scalar, an object with `.model_dump()` is a model.

    float, int within ±2**53          a metric point
    other int, bool, str, datetime    a typed value
    None, list, tuple, dict, model    a typed value of type json; NaN inside is {"$float": "NaN"}
    gateway.Histogram                 a typed value of type histogram
    array or tensor, 10,000 at most   a typed value of type json: its list
    anything else                     its repr(), as a string
"""

from __future__ import annotations

import json
import math
from time import time_ns

from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MAX_NAME = 1_024  # characters, and bytes in UTF-8, as schemas/bounds.py has them
MAX_TEXT = 131_072  # characters; with each escaped to six bytes, they still fit into a Kafka record of 1 MiB
MAX_JSON = 262_144  # bytes of one JSON value; of a larger one the start of its text is kept
MAX_DEPTH = 32  # of nested containers
MAX_ELEMENTS = 10_000  # of an array to keep as a list
EXACT = 2**53  # integers up to here are exact in a float64
INT64 = 2**63 - 1
MIN_TIME, MAX_TIME = 0, 2**62  # µs
MAX_NANOS = 2**64 - 1  # ns: the year 2554

dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False).encode


def clean(text: str, limit: int = MAX_TEXT) -> str:
    """Return text that UTF-8 and PostgreSQL can hold, cut to `limit`; U+FFFD replaces NUL and lone surrogates."""
    if len(text) > limit:
        warn_once("long-text", f"text of {len(text):,} characters is cut to the first {limit:,}")
        text = cut(text, limit)
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else str(text)
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
    if not isinstance(name, str):
        warn_once("name-type", f"a name is text, not {type(name).__name__}: its text is used")
        name = text_of(name)
    if not name:
        warn_once("name-empty", "a name is empty: 'unnamed' is used")
        return "unnamed"
    if len(name) > MAX_NAME:
        warn_once("name-long", f"a name of {len(name):,} characters is cut to the first {MAX_NAME:,}: {name[:40]!r}…")
        name = name[:MAX_NAME]
    name = clean(name, MAX_NAME)
    return name if name.isascii() else cut_bytes(name, MAX_NAME)


def cut_bytes(name: str, limit: int) -> str:
    """Return the start of a name that has at most `limit` bytes in UTF-8."""
    encoded = name.encode()
    if len(encoded) <= limit:
        return name
    warn_once("name-bytes", f"a name of {len(encoded):,} bytes is cut to the first {limit:,}: {name[:40]!r}…")
    return encoded[:limit].decode(errors="ignore")


def clean_labels(labels: Mapping[Any, Any]) -> tuple[tuple[str, str], ...]:
    """Return the labels of a series, sorted by name."""
    return tuple(sorted((clean_name(name), clean(text_of(text), MAX_NAME)) for name, text in labels.items()))


def text_of(value: object) -> str:
    """Return `str(value)`, or the name of its type when that fails."""
    try:
        return value if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001 -- the caller's __str__ failed: the event is kept with the type's name instead
        return f"<{type(value).__name__}>"


def scalar(value: object) -> object:
    """Return the Python number in a numpy or torch scalar; any other object unchanged."""
    if isinstance(value, float):
        return float(value)  # numpy.float64 is a float
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)  # an IntEnum is an int
    if isinstance(value, type | dict | list | str):
        return value
    try:
        item = getattr(value, "item", None)
        if item is None:
            return value
        found = item()
    except Exception:  # noqa: BLE001 -- an array of many values, or the caller's method failed: the object itself is kept
        return value
    return found if isinstance(found, float | int | str) else value


def is_point(value: object) -> bool:
    """Return whether the value is a metric point: a float, or an int that float64 holds exactly."""
    return type(value) is float or (type(value) is int and -EXACT <= value <= EXACT)


def typed(value: object) -> dict[str, object]:
    """Return any object as a typed value of the contract."""
    value = scalar(value)
    if isinstance(value, bool):
        return {"type": "bool", "value": value}
    if isinstance(value, int):
        return {"type": "int", "value": value} if abs(value) <= INT64 else _big(value)
    if isinstance(value, float):
        return {"type": "float", "value": float_to_json(value)}
    if isinstance(value, str):
        return {"type": "string", "value": clean(value)}
    if _is_datetime(value):
        return {"type": "datetime", "value": _aware(value).isoformat()}
    if type(value).__module__ == "gateway.client.encoding.histogram":
        found = _histogram(value)
        if found is not None:
            return found
    try:
        plain = _plain(value, 0)
    except Exception:  # noqa: BLE001 -- no JSON value, or the caller's model_dump() failed: its repr() is kept
        return {"type": "string", "value": _repr(value)}
    text = dumps(plain)
    if len(text) > MAX_JSON or (not text.isascii() and len(text.encode()) > MAX_JSON):
        warn_once("big-json", f"a JSON value of {len(text):,} characters is kept as the first {MAX_TEXT:,} of its text")
        return {"type": "string", "value": cut(text, MAX_TEXT)}
    return {"type": "json", "value": plain}


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
    if _is_datetime(time):
        time = time.timestamp()  # type: ignore[attr-defined]  # datetime is not imported only for this test
    seconds = scalar(time)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return None
    found = round(seconds * 1_000_000)  # a float64 of this size is exact to 0.25 µs
    return found if MIN_TIME <= found <= MAX_TIME else None


class _NotJson(Exception):
    """The object is not a JSON value; its repr() is used."""


def _plain(value: object, depth: int) -> Any:
    value = scalar(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= INT64 else _big(value)["value"]
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": float_to_json(value)}
    if isinstance(value, str):
        return clean(value)
    if _is_datetime(value):
        return _aware(value).isoformat()
    if depth >= MAX_DEPTH:
        return _repr(value)
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return _plain(dump(by_alias=True), depth + 1)
    if isinstance(value, dict):
        return {clean(text_of(name)): _inside(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_inside(item, depth + 1) for item in value]
    if hasattr(value, "tolist") and not isinstance(value, type) and _elements(value) <= MAX_ELEMENTS:
        return _plain(value.tolist(), depth + 1)
    if depth == 0:
        raise _NotJson
    return _repr(value)


def _inside(value: object, depth: int) -> Any:
    try:
        return _plain(value, depth)
    except Exception:  # noqa: BLE001 -- one object in a container failed: its repr() takes its place, the rest is kept
        return _repr(value)


def _elements(value: Any) -> int:
    count = value.numel() if hasattr(value, "numel") else getattr(value, "size", None)
    return count if isinstance(count, int) else MAX_ELEMENTS + 1


def _repr(value: object) -> str:
    warn_once("repr", f"a value of type {type(value).__name__} is kept as its repr()")
    if (
        isinstance(value, bytes | bytearray) and len(value) > MAX_TEXT // 4
    ):  # repr() of a byte has up to four characters
        warn_once("long-bytes", f"{len(value):,} bytes are cut to the first {MAX_TEXT // 8:,}")
        return f"{bytes(value[: MAX_TEXT // 8])!r}… (cut from {len(value):,} bytes)"
    try:
        return clean(repr(value))
    except Exception:  # noqa: BLE001 -- the caller's __repr__ failed: the event is kept with the type's name instead
        return f"<{type(value).__name__}>"


def _histogram(value: Any) -> dict[str, object] | None:
    from gateway.client.encoding.histogram import is_sound

    if not is_sound(value):
        warn_once("histogram-shape", "a histogram needs n counts and n + 1 rising edges: it is kept as its repr()")
        return None
    columns = {"counts": value.counts, "edges": value.edges}
    return {
        "type": "histogram",
        "value": {name: [float_to_json(number) for number in column] for name, column in columns.items()},
    }


def _big(value: int) -> dict[str, object]:
    try:
        return {"type": "int", "value": str(value)}
    except ValueError:  # more digits than sys.set_int_max_str_digits allows
        return {"type": "string", "value": f"<int of {value.bit_length()} bits>"}


def _is_datetime(value: Any) -> bool:
    # By name, because most processes never import datetime; by base class, for pandas.Timestamp.
    return any(base.__module__ == "datetime" and base.__name__ == "datetime" for base in type(value).__mro__)


def _aware(value: Any) -> Any:
    if hasattr(value, "to_pydatetime"):  # pandas writes nanoseconds, which the contract does not accept
        value = value.to_pydatetime(warn=False)
    return value.astimezone() if value.tzinfo is None else value
