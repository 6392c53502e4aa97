"""
Columns of int64 and float64 that JSON keeps exactly, NaN and infinities included.

JSON has no NaN (RFC 8259, section 6), so a non-finite value is written as one of the strings "NaN", "Infinity" and
"-Infinity", as ECMAScript names them. In memory a column is an `array.array`: eight bytes per value, and one C call
checks a list instead of one Python call per value.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

if TYPE_CHECKING:
    IntArray = array[int]
    FloatArray = array[float]
else:
    IntArray = array
    FloatArray = array

NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def float_to_json(value: float) -> float | str:
    """Return `value` in a form that JSON can hold: itself if finite, else the name of the non-finite value."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def float_from_json(value: object) -> float:
    """Return the float64 that `float_to_json` wrote. Raises ValueError for anything else, numeric strings included."""
    if isinstance(value, str):
        if value not in NON_FINITE:
            raise ValueError(f"{value!r:.80} is not a number, nor one of NaN, Infinity, -Infinity")
        return NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{type(value).__name__} is not a number")
    return float(value)


def float_column(values: Any) -> FloatArray:
    """Return a float64 column: of a JSON list, or an array unchanged."""
    if isinstance(values, array):
        return values if values.typecode == "d" else array("d", values)
    if not isinstance(values, list | tuple):
        raise ValueError("a column is a list of numbers")
    try:
        return array("d", values)
    except (TypeError, OverflowError):
        return array("d", [float_from_json(value) for value in values])


def int_column(values: Any) -> IntArray:
    """Return an int64 column: of a JSON list, or an array unchanged."""
    if isinstance(values, array):
        return values if values.typecode == "q" else array("q", values)
    if not isinstance(values, list | tuple):
        raise ValueError("a column is a list of integers")
    try:
        return array("q", values)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"not a column of 64 bit integers: {error}") from None


def dump_floats(column: FloatArray) -> list[float | str]:
    """Return the column as a JSON list."""
    values: list[float | str] = column.tolist()  # type: ignore[assignment]  # list is invariant
    if all(map(math.isfinite, column)):
        return values
    return [float_to_json(value) for value in column]


NUMBER = {"anyOf": [{"type": "number"}, {"enum": sorted(NON_FINITE)}]}

IntColumn = Annotated[
    IntArray,
    PlainValidator(int_column),
    PlainSerializer(lambda column: column.tolist()),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}, "minItems": 1}),
]
FloatColumn = Annotated[
    FloatArray,
    PlainValidator(float_column),
    PlainSerializer(dump_floats),
    WithJsonSchema({"type": "array", "items": NUMBER, "minItems": 1}),
]
