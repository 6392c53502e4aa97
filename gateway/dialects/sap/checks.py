"""
Check what callers pass, by the limits that seed 003 states. Pure: values in, values out, or TrackingError.

Each function checks all of a call before any of it is recorded, so a call is logged as a whole or not at all.
"""

from __future__ import annotations

import math

from gateway.client.encoding.values import MAX_NAME, clean, scalar, text_of
from gateway.client.guards import safe_repr, type_name
from gateway.dialects.sap.errors import TrackingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

MAX_KEY = 256  # characters of the name of a parameter or metric (seed 003)
MAX_PARAMETER = 5_000  # characters of the value of a parameter (seed 003)
MAX_TAG = 8 * MAX_NAME  # characters of the value of a tag; seed 003 states no limit, a tag of the gateway has this one
LARGEST = 1.7976931348623157e308  # of a metric (seed 003); the lowest is its negative: see docs/sap.md
START, END, RUN_NAME = "start", "end", "runName"  # the system writes them (seed 003)
SYSTEM_TAG = "sapdi."  # begins the tags that hold the source of a run

NOT_GIVEN = object()  # no value: None is one

_FORMS = {"log_metrics": '{"loss": 0.1}, or a list of {"name": "loss", "value": 0.1}'}
_ITEM = {"name", "value", "run"}  # keys of a metric in the list of log_metrics


def read_text(what: str, given: object, limit: int = MAX_NAME, *, may_be_empty: bool = False) -> str:
    """Return text of at most `limit` characters that the log holds unchanged. Raises TrackingError."""
    if not issubclass(type(given), str):  # not isinstance: it asks the object, which may raise
        raise TrackingError(f"{what} is text, not {type_name(given)} {safe_repr(given)}: pass a str")
    text = str.__str__(given)
    if not text and not may_be_empty:
        raise TrackingError(f"{what} is empty: give at least one character")
    if len(text) > limit:
        raise TrackingError(f"{what} has {len(text):,} characters, {text[:40]!r}…, and may have {limit:,}: shorten it")
    if clean(text, limit) != text:
        raise TrackingError(f"{what} holds U+0000 or half of a surrogate pair, {safe_repr(text)}: remove it")
    if limit == MAX_NAME and (size := len(text.encode())) > MAX_NAME:
        raise TrackingError(f"{what} has {size:,} bytes in UTF-8 and may have {MAX_NAME:,}: shorten it")
    return text


def _is_plain(name: str) -> bool:
    """Return whether a name needs no closer look: ASCII of an allowed length."""
    return 0 < len(name) <= MAX_KEY and name.isascii() and "\x00" not in name


def read_parameters(given: object, value: object = NOT_GIVEN) -> dict[str, str]:
    """Return parameters as text, or the one whose value is given apart from its name. Raises TrackingError."""
    found = {}
    for name, item in _items("log_parameters", given) if value is NOT_GIVEN else [(given, value)]:
        key = read_text("the name of a parameter", text_of(name), MAX_KEY)
        if key in (START, END):
            raise TrackingError(f"the parameter {key!r} is written by the system: give yours another name")
        text = text_of(item)
        if len(text) > MAX_PARAMETER:
            raise TrackingError(
                f"the value of parameter {key!r} has {len(text):,} characters and may have {MAX_PARAMETER:,}: "
                "shorten it"
            )
        found[key] = text
    return found


def read_metric(name: object, value: object) -> tuple[str, float]:
    """Return name and value of a metric. Raises TrackingError for a value that is no finite number."""
    if type(value) is float and type(name) is str and -LARGEST <= value <= LARGEST and _is_plain(name):
        return name, value  # as in most calls, which training loops make
    key, found = read_text("the name of a metric", name, MAX_KEY), _number(scalar(value))
    if found is None:
        raise TrackingError(
            f"metric {key!r} is a number, not {type_name(value)} {safe_repr(value)}: pass an int or a float"
        )
    if not -LARGEST <= found <= LARGEST:  # false for NaN
        raise TrackingError(
            f"metric {key!r} is {safe_repr(value, 40)}, and must be between {-LARGEST!r} and {LARGEST!r}: "
            "log only finite numbers"
        )
    return key, found


def _number(scalar: Any) -> float | None:
    """Return a number as float64, one that is too large as infinity; None for what is no number."""
    if type(scalar) is bool or not hasattr(type(scalar), "__float__"):
        return None
    try:
        return float(scalar)
    except OverflowError:
        return math.inf
    except Exception:  # noqa: BLE001 -- an array of many values, or the caller's method failed
        return None


def read_metrics(given: Any) -> list[tuple[str, float, object]]:
    """
    Return name, value and run of each metric of `log_metrics`, run None for the active one. Raises TrackingError.

    Takes both forms of seed 003: a list of {"name": …, "value": …, "run": …}, `run` optional, and {name: value}.
    """
    if not issubclass(type(given), list | tuple):
        return [(*read_metric(name, value), None) for name, value in _items("log_metrics", given)]
    return [_read_item(at, item) for at, item in enumerate(given)]


def _read_item(at: int, item: Any) -> tuple[str, float, object]:
    if not (issubclass(type(item), dict) and {"name", "value"} <= item.keys() <= _ITEM):
        raise TrackingError(
            f"item {at} of log_metrics is {safe_repr(item)}: write a dict with name, value and perhaps run"
        )
    return (*read_metric(item["name"], item["value"]), item.get("run"))


def read_tags(function: str, given: object) -> dict[str, str]:
    """Return tags: text by text. Raises TrackingError, also for the keys that the system writes."""
    found = read_wanted_tags(function, given)
    for key in found:
        if key == RUN_NAME:
            raise TrackingError(
                f"the tag {RUN_NAME!r} is written by the system: call update_run_info(run_name=…) to rename the run"
            )
        if key.startswith(SYSTEM_TAG):
            raise TrackingError(f"tags that begin with {SYSTEM_TAG!r} are written by the system: use another key")
    return found


def read_wanted_tags(function: str, given: object) -> dict[str, str]:
    """Return tags to find runs by, the system's among them. Raises TrackingError."""
    found = {}
    for name, value in _items(function, given):
        key = read_text("the key of a tag", name)
        found[key] = read_text(f"the value of tag {key!r:.80}", value, MAX_TAG, may_be_empty=True)
    return found


def read_labels(given: object) -> dict[str, Any]:
    """Return labels: any values by text. Raises TrackingError."""
    return {read_text("the key of a label", name): value for name, value in _items("set_labels", given)}


def read_names(given: object) -> list[str]:
    """Return the names of metrics, given as one or as several, each once. Raises TrackingError."""
    names: Any = [given] if issubclass(type(given), str) else given
    if not issubclass(type(names), list | tuple | set | frozenset):
        raise TrackingError(f"metrics is a list of names, not {type_name(given)} {safe_repr(given)}: pass ['loss']")
    return list(dict.fromkeys(read_text("the name of a metric", name, MAX_KEY) for name in names))


def _items(function: str, given: Any) -> Iterable[tuple[object, object]]:
    """Return the items of a mapping. Raises TrackingError."""
    try:
        mapping: Mapping[object, object] = given
        return list(mapping.items())
    except Exception:  # noqa: BLE001 -- it is no mapping, or the caller's object failed while it was read
        raise TrackingError(
            f"{function} takes a dict, not {type_name(given)} {safe_repr(given)}: "
            f"write {_FORMS.get(function, '{name: value}')}"
        ) from None
