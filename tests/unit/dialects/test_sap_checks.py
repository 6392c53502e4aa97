"""What may be logged by the limits of seed 003, and what is refused in one clear sentence."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from gateway.dialects.sap import checks
from gateway.dialects.sap.errors import TrackingError


class Broken:
    """An object whose every reading fails."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("broken")

    def __str__(self) -> str:
        raise RuntimeError("broken")

    __repr__ = __str__


class Number:
    """A number of another library."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def item(self) -> Any:
        return self._value


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1, 1.0),
        (-2.5, -2.5),
        (2**60, 2.0**60),
        (Fraction(1, 4), 0.25),
        (Decimal("0.1"), 0.1),
        (Number(0.5), 0.5),
        (Number(7), 7.0),
        (checks.LARGEST, checks.LARGEST),
        (-checks.LARGEST, -checks.LARGEST),
        (5e-324, 5e-324),
        (-2.2250738585072014e-308, -2.2250738585072014e-308),  # the lowest by the document
        (-1, -1.0),  # below it
    ],
)
def test_numbers_of_any_library_are_values(value: Any, kept: float) -> None:
    assert checks.read_metric("loss", value) == ("loss", kept)


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 10**309, -(10**4_000), Decimal("1e309"), Decimal("NaN"), Number(math.inf)]
)
def test_what_is_not_finite_is_out_of_range(value: Any) -> None:
    with pytest.raises(TrackingError, match=r"metric 'loss' is .* must be between -1.79.*e\+308: log only finite"):
        checks.read_metric("loss", value)


@pytest.mark.parametrize(
    "value", ["0.5", True, None, 1j, b"1", [1], {}, Number("x"), Number(True), object, [1.5] * 100_000]
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(TrackingError, match="metric 'loss' is a number, not"):
        checks.read_metric("loss", value)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        (None, "is text, not NoneType None: pass a str"),
        (7, "is text"),
        (b"loss", "is text"),
        ("n" * 257, "has 257 characters, 'nnn.* and may have 256: shorten it"),
        ("a\x00b", r"U\+0000"),
        ("a\ud800", "surrogate"),
    ],
)
def test_a_name_that_cannot_be_kept_is_refused(name: Any, why: str) -> None:
    with pytest.raises(TrackingError, match=why):
        checks.read_metric(name, 1)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, []),
        ([], []),
        ({"a": 1, "b": 2.5}, [("a", 1.0, None), ("b", 2.5, None)]),
        ([{"name": "a", "value": 1}, {"name": "a", "value": 2, "run": "r"}], [("a", 1.0, None), ("a", 2.0, "r")]),
        (({"value": 1, "name": "a"},), [("a", 1.0, None)]),
    ],
)
def test_both_forms_of_metrics_are_read(given: Any, found: Any) -> None:
    assert checks.read_metrics(given) == found


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "log_metrics takes a dict, not NoneType None: write .* or a list of"),
        ("loss", "log_metrics takes a dict"),
        ([("loss", 1)], r"item 0 of log_metrics is \('loss', 1\): write a dict with name, value"),
        ([{"name": "a", "value": 1}, {"name": "b"}], "item 1 of log_metrics"),
        ([{"name": "a", "value": 1, "step": 3}], "item 0 of log_metrics"),
        ({"a": 1, "": 2}, "empty"),
    ],
)
def test_other_forms_of_metrics_are_refused(given: Any, why: str) -> None:
    with pytest.raises(TrackingError, match=why):
        checks.read_metrics(given)


def test_an_object_whose_every_reading_fails_is_refused_as_any_other() -> None:
    for call in (
        lambda: checks.read_metric("loss", Broken()),
        lambda: checks.read_metric(Broken(), 1),
        lambda: checks.read_metrics(Broken()),
        lambda: checks.read_parameters(Broken()),
        lambda: checks.read_tags("set_tags", {"a": Broken()}),
    ):
        with pytest.raises(TrackingError, match="Broken"):
            call()


def test_parameters_become_text() -> None:
    given = {"lr": 0.001, "n": 784, "file": "model.ckpt", 3: None, "on": True, "odd": Broken(), "empty": ""}

    found = {"lr": "0.001", "n": "784", "file": "model.ckpt", "3": "None", "on": "True", "odd": "<Broken>", "empty": ""}
    assert checks.read_parameters(given) == found
    assert checks.read_parameters("lr", 0.1) == {"lr": "0.1"}
    assert checks.read_parameters("lr", None) == {"lr": "None"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "log_parameters takes a dict, not NoneType None: write {name: value}"),
        ("lr", "takes a dict"),
        ([("lr", 1)], "takes a dict"),
        ({"start": 1}, "the parameter 'start' is written by the system"),
        ({"end": 1}, "the parameter 'end'"),
        ({"": 1}, "empty"),
        ({"n" * 257: 1}, "may have 256"),
        ({"text": "x" * 5_001}, "the value of parameter 'text' has 5,001 characters and may have 5,000"),
    ],
)
def test_parameters_that_cannot_be_kept_are_refused(given: Any, why: str) -> None:
    with pytest.raises(TrackingError, match=why):
        checks.read_parameters(given)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"runName": "x"}, r"update_run_info\(run_name="),
        ({"sapdi.scenario": "x"}, "begin with 'sapdi.'"),
        ({"a": 1}, "the value of tag 'a' is text, not int 1"),
        ({1: "a"}, "the key of a tag is text"),
        ({"": "a"}, "empty"),
        ({"a": "x" * 8_193}, "may have 8,192"),
        ({"ä" * 513: "x"}, "1,026 bytes in UTF-8"),
        (["a"], "set_tags takes a dict"),
    ],
)
def test_tags_that_cannot_be_kept_are_refused(given: Any, why: str) -> None:
    with pytest.raises(TrackingError, match=why):
        checks.read_tags("set_tags", given)


def test_system_tags_may_be_searched_for() -> None:
    assert checks.read_wanted_tags("get_runs", {"runName": "x", "sapdi.notebook": ""}) == {
        "runName": "x",
        "sapdi.notebook": "",
    }


def test_names_of_metrics_are_one_or_several() -> None:
    assert checks.read_names("loss") == ["loss"]
    assert checks.read_names(("loss", "acc", "loss")) == ["loss", "acc"]
    for wrong in (1, {"loss": 1}, [1], [""]):
        with pytest.raises(TrackingError):
            checks.read_names(wrong)
