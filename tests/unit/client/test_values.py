"""Values, numbers, times and names of training code as the contract reads them."""

from __future__ import annotations

import enum
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pandas
import pytest
from pydantic import BaseModel, Field, TypeAdapter

from gateway.client.encoding.typed import typed
from gateway.client.encoding.values import clean, clean_name, is_point, micros, scalar
from schemas.values import Typed, to_plain

HUGE = 10**4_300  # pytest cannot write its digits
READER: TypeAdapter[Any] = TypeAdapter(Typed)


class Scalar:
    """The interface of numpy and torch scalars."""

    def __init__(self, value: object) -> None:
        self._value = value

    def item(self) -> object:
        return self._value


class Eggs(BaseModel):
    ham: str = Field(alias="Ham")


class Color(enum.IntEnum):
    RED = 3


class Broken:
    """An object whose repr() fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def read(value: object) -> object:
    """Return a value as a reader of the contract sees it."""
    return to_plain(READER.validate_python(typed(value)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, True),
        (Scalar(False), False),
        ("text", "text"),
        (None, None),
        (2**53 + 1, 2**53 + 1),
        (-(2**63), str(-(2**63))),
        (10**30, str(10**30)),
        (math.inf, "Infinity"),
        ([1, (2.5, None), {"a": math.nan}], [1, [2.5, None], {"a": "NaN"}]),
        ({1: {"b": True}}, {"1": {"b": True}}),
        ([10**30], [str(10**30)]),
        (Eggs(Ham="world"), {"Ham": "world"}),
        ([Eggs(Ham="world")], [{"Ham": "world"}]),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (b"bytes", "b'bytes'"),
        (3 + 4j, "(3+4j)"),
        (Broken(), "<Broken>"),
        ([Broken()], ["<Broken>"]),
        ("a\x00b\ud800", "a\ufffdb\ufffd"),
        ({"\x00": "\udfff"}, {"\ufffd": "\ufffd"}),
    ],
)
def test_the_contract_reads_each_value_as_its_author_meant_it(given: object, expected: object) -> None:
    assert read(given) == expected


def test_an_integer_with_more_digits_than_python_prints_is_described() -> None:
    assert read(1 << 40_000) == "<int of 40001 bits>"


def test_a_naive_datetime_is_local_time() -> None:
    given = datetime(2026, 1, 2, 3, 4, 5)

    assert read(given) == given.astimezone().isoformat()


def test_nesting_without_end_stops() -> None:
    endless: list[object] = []
    endless.append(endless)

    assert read(endless) == ["…"]


def test_a_large_json_value_is_kept_as_the_start_of_its_text() -> None:
    kept = read({"x": ["y" * 100] * 10_000})

    assert isinstance(kept, str)
    assert kept.startswith('{"x":["yyy')


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Scalar(0.5), 0.5),
        (0.5, 0.5),
        (Color.RED, 3),
        (Scalar(7), 7),
        (-(2**53), -(2**53)),
        (Decimal("0.1"), 0.1),
        (Decimal("-Infinity"), -math.inf),
        (Fraction(1, 3), 1 / 3),
        (numpy.longdouble("0.5"), 0.5),
        (numpy.float32(0.5), 0.5),
        (numpy.array([[7]]), 7),
    ],
)
def test_numbers_become_points(given: object, expected: object) -> None:
    assert is_point(scalar(given))
    assert scalar(given) == expected


@pytest.mark.parametrize("given", [numpy.ma.masked, numpy.ma.array([5.0], mask=[True]), Decimal("NaN")])
def test_what_was_not_measured_is_not_a_number(given: object) -> None:
    assert repr(scalar(given)) == "nan"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Decimal(2**60 + 1), 2**60 + 1),
        (Decimal("1e400"), "1E+400"),
        (numpy.longdouble("1e400"), "1e+400"),
        (numpy.timedelta64(90, "ns"), "90 nanoseconds"),
        (numpy.array(["2026-01-01", "NaT"], dtype="M8[ns]"), ["2026-01-01T00:00:00.000000000", None]),
        (datetime.min, "0001-01-01T00:00:00"),
        (pandas.NaT, None),
        ({"a": [pandas.NaT, numpy.ma.masked]}, {"a": [None, "NaN"]}),
        (-(10**4_299), str(-(10**4_299))),
        (HUGE, f"<int of {HUGE.bit_length()} bits>"),
    ],
    ids=lambda one: "huge" if one is HUGE else None,
)
def test_a_value_is_never_recorded_as_another(given: object, expected: object) -> None:
    assert read(given) == expected


@pytest.mark.parametrize("given", [True, Scalar(True), "1", None, 2**53 + 1, [1.0], {"a": 1}])
def test_everything_else_does_not(given: object) -> None:
    assert not is_point(scalar(given))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1_700_000_000.123456, 1_700_000_000_123_456),
        (datetime(2026, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC), 1_767_225_600_999_999),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 1_767_225_600_000_000),
        (0, 0),
        (Scalar(2.5), 2_500_000),
        ("yesterday", None),
        (math.nan, None),
        (-1.0, None),
        (1e300, None),
        (1_700_000_000_000, None),
        (numpy.datetime64("2026-01-01T00:00:00.000000001"), 1_767_225_600_000_000),
        (datetime(2200, 1, 1, tzinfo=UTC), 7_258_118_400_000_000),
        (pandas.NaT, None),
        (Decimal("0.000001"), 1),
        (True, None),
    ],
)
def test_times_are_exact_to_the_microsecond(given: object, expected: int | None) -> None:
    assert micros(given) == expected


def test_names_fit_the_contract() -> None:
    given = ["loss", "", "x" * 2_000, 7, "a\x00b", Broken()]

    assert [clean_name(name) for name in given] == ["loss", "unnamed", "x" * 1_024, "7", "a\ufffdb", "<Broken>"]


def test_surrogate_pairs_become_the_character_they_mean() -> None:
    assert clean("\ud83d\ude00 \ud83d") == "😀 \ufffd"
