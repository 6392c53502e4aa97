"""
Typed values: parameters and observations keep the type that their author gave them.

A typed value is `{"type": …, "value": …}`. Types: float (NaN and infinities as in schemas/columns.py), int (of any
size; beyond 64 bits as a decimal string), bool, string, datetime (RFC 3339), json (any JSON; a non-finite number inside
is `{"$float": "NaN"}`) and histogram (`counts` of n bins, `edges` of n + 1).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from schemas.bounds import MAX_INT_DIGITS, check_depth
from schemas.columns import FloatColumn, float_from_json, float_to_json

INT64_MAX = 2**63 - 1


def _int_from_json(value: object) -> int:
    if isinstance(value, str) and (digits := value.removeprefix("-")).isdecimal() and len(digits) <= MAX_INT_DIGITS:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{type(value).__name__} is not an integer")
    return value


def _int_to_json(value: int) -> int | str:
    return value if -INT64_MAX <= value <= INT64_MAX else str(value)


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a datetime needs its offset from UTC")
    return value


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class FloatValue(_Value):
    """A float64."""

    type: Literal["float"] = "float"
    value: Annotated[float, BeforeValidator(float_from_json), PlainSerializer(float_to_json, return_type=float | str)]


class IntValue(_Value):
    """An integer of any size."""

    type: Literal["int"] = "int"
    value: Annotated[int, BeforeValidator(_int_from_json), PlainSerializer(_int_to_json, return_type=int | str)]


class BoolValue(_Value):
    """True or false."""

    type: Literal["bool"] = "bool"
    value: Annotated[bool, Field(strict=True)]


class StringValue(_Value):
    """Text."""

    type: Literal["string"] = "string"
    value: Annotated[str, Field(strict=True)]


class DatetimeValue(_Value):
    """An instant, with its offset from UTC."""

    type: Literal["datetime"] = "datetime"
    value: Annotated[datetime, AfterValidator(_aware)]


class JsonValue(_Value):
    """Any JSON value; of a pydantic model, its dump by alias."""

    type: Literal["json"] = "json"
    value: Annotated[Any, AfterValidator(check_depth)]


class Histogram(_Value):
    """Counts of n bins between n + 1 rising edges."""

    counts: FloatColumn
    edges: FloatColumn

    @model_validator(mode="after")
    def _fits(self) -> Histogram:
        if len(self.edges) != len(self.counts) + 1:
            raise ValueError(f"{len(self.counts)} counts need {len(self.counts) + 1} edges, not {len(self.edges)}")
        return self


class HistogramValue(_Value):
    """A histogram."""

    type: Literal["histogram"] = "histogram"
    value: Histogram


Typed = Annotated[
    FloatValue | IntValue | BoolValue | StringValue | DatetimeValue | JsonValue | HistogramValue,
    Field(discriminator="type"),
]


def to_plain(typed: Typed) -> Any:
    """Return a value as documents show it: 0.1, "adam", true, {...}; values that JSON cannot hold become text."""
    match typed:
        case FloatValue():
            return float_to_json(typed.value)
        case JsonValue():
            return _plain_floats(typed.value)
        case IntValue():
            return _int_to_json(typed.value)
        case DatetimeValue():
            return typed.value.isoformat()
        case HistogramValue():
            return typed.value.model_dump(mode="json")
        case _:
            return typed.value


def to_text(typed: Typed) -> str:
    """Return a value as text, for trackers that hold only text: `str()` of scalars, JSON of the rest."""
    match typed:
        case FloatValue() | IntValue() | BoolValue() | StringValue():
            return str(typed.value)
        case DatetimeValue():
            return typed.value.isoformat()
        case _:
            return json_text(to_plain(typed))


def json_text(value: Any) -> str:
    """Return any JSON value as JSON."""
    import json

    import orjson

    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an int beyond 64 bits: PostgreSQL's jsonb writes 1e20 as one
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _plain_floats(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"$float"}:
            return value["$float"]
        return {name: _plain_floats(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain_floats(item) for item in value]
    return value
