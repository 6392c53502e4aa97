"""Values, numbers, times and names of training code as the contract reads them."""

from __future__ import annotations

import enum
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from gateway.client.encoding.values import clean, clean_name, is_point, micros, scalar, typed
from schemas.values import Typed, to_plain

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

    assert "[[" in str(read(endless))


def test_a_large_json_value_is_kept_as_the_start_of_its_text() -> None:
    kept = read({"x": ["y" * 100] * 10_000})

    assert isinstance(kept, str)
    assert kept.startswith('{"x":["yyy')


@pytest.mark.parametrize("given", [Scalar(0.5), 0.5, Color.RED, Scalar(7), -(2**53)])
def test_numbers_become_points(given: object) -> None:
    assert is_point(scalar(given))


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
