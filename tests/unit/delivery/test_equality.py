"""Texts that represent a value in another notation, texts that were cut, and texts of another value."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.delivery.verify.equality import is_cut, is_same, normal_text, shown
from consumers.delivery.verify.facts import RunFacts
from schemas.values import (
    BoolValue,
    DatetimeValue,
    FloatValue,
    Histogram,
    HistogramValue,
    IntValue,
    JsonValue,
    StringValue,
    Typed,
    to_plain,
    to_text,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SAME = [
    (FloatValue(value=1e-5), "0.00001"),
    (FloatValue(value=1e-5), "1E-5"),
    (FloatValue(value=1.0), "1"),
    (FloatValue(value=math.nan), '"NaN"'),
    (FloatValue(value=math.nan), "NaN"),
    (FloatValue(value=math.inf), '"Infinity"'),
    (FloatValue(value=-math.inf), "-Infinity"),
    (IntValue(value=7), "7"),
    (IntValue(value=10**40), f'"{10**40}"'),
    (BoolValue(value=True), "True"),
    (BoolValue(value=True), "true"),
    (StringValue(value="adam"), '"adam"'),
    (StringValue(value="5"), "5"),
    (StringValue(value='"quoted"'), '"quoted"'),
    (DatetimeValue(value=NOON), '"2026-11-21T12:00:00+00:00"'),
    (DatetimeValue(value=NOON), "2026-11-21T13:00:00+01:00"),
    (JsonValue(value={"b": 1, "a": [None]}), '{"a": [null], "b": 1}'),
    (HistogramValue(value=Histogram(counts=[1], edges=[0, 1])), '{"edges":[0.0,1.0],"counts":[1.0]}'),
]
OF_EACH_TYPE: list[Typed] = [
    FloatValue(value=0.1),
    FloatValue(value=100.0),
    FloatValue(value=math.nan),
    FloatValue(value=math.inf),
    FloatValue(value=-math.inf),
    IntValue(value=7),
    IntValue(value=10**40),
    BoolValue(value=True),
    BoolValue(value=False),
    StringValue(value="adam"),
    StringValue(value="True"),
    StringValue(value='"quoted"'),
    DatetimeValue(value=NOON),
    JsonValue(value=None),
    JsonValue(value={"b": [True, 1e20, {"$float": "NaN"}]}),
    HistogramValue(value=Histogram(counts=[1], edges=[0, 1])),
]
OTHER = [
    (FloatValue(value=0.1), "0.10000000000000002"),
    (FloatValue(value=0.1), ""),
    (FloatValue(value=math.nan), "0.0"),
    (FloatValue(value=math.inf), "1.7976931348623157e308"),
    (IntValue(value=1), "true"),
    (IntValue(value=7), "8"),
    (BoolValue(value=True), "1"),
    (BoolValue(value=True), "false"),
    (StringValue(value="adam"), "adamw"),
    (StringValue(value="adam"), "ada"),
    (StringValue(value="null"), ""),
    (DatetimeValue(value=NOON), "2026-11-21T12:00:00"),
    (DatetimeValue(value=NOON), "noon"),
    (JsonValue(value=[1]), "[1, 1]"),
    (JsonValue(value=None), ""),
    (JsonValue(value=[1]), "[" * 100_000),
    (JsonValue(value={"lr": 1.0}), '{"lr": "1.0"}'),
]
TYPED = st.one_of(
    st.builds(FloatValue, value=st.floats()),
    st.builds(IntValue, value=st.integers()),
    st.builds(BoolValue, value=st.booleans()),
    st.builds(StringValue, value=st.text()),
    st.builds(DatetimeValue, value=st.datetimes(timezones=st.just(UTC))),
    st.builds(JsonValue, value=st.recursive(st.none() | st.text() | st.integers(-9, 9), st.lists, max_leaves=4)),
)


@pytest.mark.parametrize(("value", "text"), SAME)
def test_another_notation_of_the_value_is_no_difference(value: Typed, text: str) -> None:
    assert is_same(value, text)


@pytest.mark.parametrize(("value", "text"), OTHER)
def test_another_value_is_a_difference(value: Typed, text: str) -> None:
    assert not is_same(value, text)


@given(TYPED)
def test_text_and_json_represent_every_value(value: Typed) -> None:
    assert is_same(value, to_text(value))
    assert is_same(value, json.dumps(to_plain(value)))


@given(TYPED)
@example(BoolValue(value=True))
@example(FloatValue(value=math.nan))
@example(FloatValue(value=-math.inf))
@example(StringValue(value='"half \\ud800"'))
def test_text_and_json_have_one_normal_form(value: Typed) -> None:
    facts = [RunFacts("r"), RunFacts("r")]
    for one, text in zip(facts, (to_text(value), json.dumps(to_plain(value))), strict=True):
        one.add_observation("seen", 1, 5, text)

    assert facts[0].observations == facts[1].observations


@pytest.mark.parametrize(
    ("one", "other"), [("true", "false"), ("True", "1"), ("nan", "inf"), ('{"a":1}', '{"a":"1.0"}')]
)
def test_two_values_have_two_normal_forms(one: str, other: str) -> None:
    assert normal_text(one) != normal_text(other)


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_strings_are_the_same_only_if_they_are_equal_or_quoted(one: str, other: str) -> None:
    assert is_same(StringValue(value=one), other) == (other in (one, json.dumps(one)) or _quoted(other) == one)


def _quoted(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def test_only_the_documented_length_is_a_cut() -> None:
    value = StringValue(value="x" * 30)

    assert is_cut(value, "x" * 20, (10, 20))
    assert not is_cut(value, "x" * 19, (10, 20))
    assert not is_cut(value, "x" * 19 + "y", (10, 20))
    assert not is_cut(value, "x" * 30, (30,))
    assert not is_cut(value, "x" * 20, ())


def test_a_shown_value_is_short_and_printable() -> None:
    assert shown("\x1b[2J" + "x" * 200) == "?[2J" + "x" * 96 + "…"


@pytest.mark.parametrize("value", OF_EACH_TYPE)
def test_text_and_json_of_a_value_whose_type_is_unknown_have_one_form(value: Typed) -> None:
    assert normal_text(json.dumps(to_plain(value))) == normal_text(to_text(value))


def test_other_values_have_another_form() -> None:
    different = [value for value in OF_EACH_TYPE if value != StringValue(value="True")]
    assert len({normal_text(to_text(value)) for value in different}) == len(different)
