"""
Convert the values that training code emits to the value types of the contract (schemas/values.py reads the result).

This runs in the caller's thread, so that a list or tensor that changes later is kept as it was. A structure is read up
to a bound of its depth, its parts and its text, because with shared or circular references it may have no end.

    number that float64 or int holds          a metric point, if |int| <= 2**53; else a typed value
    bool, str, datetime                       a typed value
    None, list, dict, object of fields, …     a typed value of type json; NaN inside is {"$float": "NaN"}
    array or tensor, 10,000 at most           a typed value of type json: its list
    gateway.Histogram                         a typed value of type histogram
    date, time, duration, UUID, path, enum    its text
    anything else                             its repr(), as a string

docs/client.md has the whole table.
"""

from __future__ import annotations

import math

from gateway.client.encoding.objects import elements_of, fields_of, is_missing, is_model, moment_text, readable
from gateway.client.encoding.values import (
    INT64,
    MAX_DIGITS,
    MAX_TEXT,
    clean,
    cut,
    dumps,
    float_to_json,
    scalar,
    text_of,
)
from gateway.client.guards import MAX_PARTS, is_small, type_name, warn_lost
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MAX_JSON = 262_144  # bytes of one JSON value; of a larger one the start of its text is kept
MAX_DEPTH = 32  # of nested containers; schemas/bounds.py allows more
MAX_CHARACTERS = 4 * MAX_JSON  # of the texts in a structure, of which the beginning is kept
_PLAIN = frozenset({str, float, bool, int, list, dict, type(None)})  # what `scalar` returns as it is
LEFT_OUT = "…"  # in place of what lies beyond a bound, or around the place itself


def typed(value: object) -> dict[str, object]:
    """Return any object as a typed value of the contract. Raises only what the caller's __getattribute__ may forbid."""
    try:
        return _typed(value)
    except Exception as error:  # noqa: BLE001 -- the caller's object failed while read: the name of its type is kept
        warn_lost("value", f"a value of type {type_name(value)} cannot be read", error)
        return {"type": "string", "value": f"<{type_name(value)}>"}


def _typed(value: Any) -> dict[str, object]:
    kind = type(value)
    if kind not in _PLAIN:
        value = scalar(value)
        kind = type(value)
    if kind is str:
        return {"type": "string", "value": clean(value)}
    if kind is float:
        return {"type": "float", "value": float_to_json(value)}
    if kind is bool:
        return {"type": "bool", "value": value}
    if kind is int:
        return _integer(value)
    if kind is list or kind is dict or is_missing(value):
        return _json(value)
    if issubclass(kind, str):
        return {"type": "string", "value": clean(value)}
    if kind.__module__ == "gateway.client.encoding.histogram":
        found = _histogram(value)
        if found is not None:
            return found
    moment = moment_text(value)
    if moment is not None:
        return {"type": "datetime", "value": moment}
    text = readable(value)
    return _json(value) if text is None else {"type": "string", "value": clean(text)}


def _json(value: object) -> dict[str, object]:
    structure = _Structure()
    try:
        plain = structure.plain(value, 0)
    except _NotJson:
        return {"type": "string", "value": _repr(value)}
    text = dumps(plain)
    if len(text) > MAX_JSON or (not text.isascii() and len(text.encode()) > MAX_JSON):
        warn_once("big-json", f"a JSON value of {len(text):,} characters is kept as the first {MAX_TEXT:,} of its text")
        return {"type": "string", "value": cut(text, MAX_TEXT)}
    return {"type": "json", "value": plain}


def _integer(value: int) -> dict[str, object]:
    if abs(value) <= INT64:
        return {"type": "int", "value": value}
    if value.bit_length() <= 4 * MAX_DIGITS:
        try:
            text = str(value)
        except ValueError:  # more digits than sys.set_int_max_str_digits allows
            text = ""
        if text and len(text.lstrip("-")) <= MAX_DIGITS:
            return {"type": "int", "value": text}
    warn_once("digits", f"an integer of more than {MAX_DIGITS:,} digits is described, not kept")
    return {"type": "string", "value": f"<int of {value.bit_length()} bits>"}


class _NotJson(Exception):
    """The object is not a JSON value; its repr() is used."""


class _Structure:
    """The conversion of one value to JSON, with what is left of its bounds."""

    __slots__ = ("_around", "_characters", "_may_dump", "_room")

    def __init__(self) -> None:
        self._room = MAX_JSON  # less the least that the JSON so far takes: with none left, it is too large anyway
        self._characters = MAX_CHARACTERS
        self._may_dump = True  # False after a model without an end: its dump would have none
        self._around: set[int] = set()  # ids of the containers that the current one is in

    def plain(self, value: Any, depth: int) -> Any:
        """Return a value as JSON. Raises _NotJson for what is none, at depth 0 only."""
        self._room -= 2  # a character and a comma
        kind = type(value)
        if kind not in _PLAIN:
            value = scalar(value)
            kind = type(value)
        if kind is str:
            return self._text(value)
        if kind is float:
            return value if math.isfinite(value) else {"$float": float_to_json(value)}
        if kind is bool:
            return value
        if kind is int:
            return _integer(value)["value"]
        if kind is list or kind is dict:
            return self._inside(value, depth)
        if is_missing(value):
            return None
        if issubclass(kind, str):
            return self._text(value)
        text = moment_text(value) or readable(value)
        return self._inside(value, depth) if text is None else self._text(text)

    def _inside(self, value: object, depth: int) -> Any:
        if depth >= MAX_DEPTH or id(value) in self._around:
            warn_once("deep", f"a structure deeper than {MAX_DEPTH} levels, or in itself, is kept with … in that place")
            return LEFT_OUT
        self._around.add(id(value))
        try:
            if self._may_dump and is_model(value):
                self._may_dump = is_small(value)
            fields = fields_of(value, may_dump=self._may_dump)
            if fields is not None:
                return self._object(fields, depth + 1)
            elements = elements_of(value)
            if elements is not None:
                return self._list(elements, depth + 1)
        finally:
            self._around.discard(id(value))
        if depth == 0:
            raise _NotJson
        return self._text(_repr(value))

    def _object(self, fields: list[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for number, (name, value) in enumerate(fields):
            if self._room <= 0:
                found[LEFT_OUT] = self._left_out(len(fields) - number)
                return found
            key = self._text(text_of(name))
            self._room -= len(key) + 3  # its quotes and colon
            try:
                found[key] = self.plain(value, depth)
            except Exception:  # noqa: BLE001 -- one object in a container failed: its repr() takes its place, the rest is kept
                found[key] = self._text(_repr(value))
        if len(found) < len(fields):
            warn_once("same-name", "keys of a dict are the same as text: the last of them is kept")
        return found

    def _list(self, elements: Sequence[Any], depth: int) -> list[Any]:
        found: list[Any] = []
        for value in elements:
            if self._room <= 0:
                found.append(self._left_out(len(elements) - len(found)))
                break
            try:
                found.append(self.plain(value, depth))
            except Exception:  # noqa: BLE001 -- as in `_object`
                found.append(self._text(_repr(value)))
        return found

    def _text(self, text: str) -> str:
        text = clean(text)
        self._characters -= len(text)
        return text if self._characters >= 0 else LEFT_OUT

    def _left_out(self, count: int) -> str:
        warn_once("many", f"a structure of more than {MAX_JSON:,} characters of JSON is kept as its beginning")
        return f"{LEFT_OUT} ({count:,} left out)"


def _repr(value: Any) -> str:
    warn_once("repr", f"a value of type {type_name(value)} is kept as its repr()")
    try:
        if issubclass(type(value), bytes | bytearray) and len(value) > MAX_TEXT // 4:  # up to four characters a byte
            warn_once("long-bytes", f"{len(value):,} bytes are cut to the first {MAX_TEXT // 8:,}")
            return f"{bytes(value[: MAX_TEXT // 8])!r}… (cut from {len(value):,} bytes)"
        return clean(repr(value)) if is_small(value) else f"<{type_name(value)} with more than {MAX_PARTS:,} parts>"
    except Exception:  # noqa: BLE001 -- the caller's __repr__ failed: the event is kept with the type's name instead
        return f"<{type_name(value)}>"


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
