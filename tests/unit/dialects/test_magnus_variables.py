"""What MAGNUS_TRACK_ variables say: numbers, text, JSON; and the one line about each that is not right (seed 001)."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gateway.dialects.magnus.variables import read_variables


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("MAGNUS_TRACK_spam", "hello", ("spam", 0, "hello")),
        ("MAGNUS_TRACK_answer", "42.0", ("answer", 0, 42.0)),
        ("MAGNUS_TRACK_answer", " 42 ", ("answer", 0, 42)),
        ("MAGNUS_TRACK_answer", "1e400", ("answer", 0, math.inf)),
        ("MAGNUS_TRACK_is_it_true", "true", ("is_it_true", 0, "true")),
        ("MAGNUS_TRACK_nothing", "null", ("nothing", 0, "null")),
        ("MAGNUS_TRACK_eggs", '{"ham": {"a": [1, true]}}', ("eggs", 0, {"ham": {"a": [1, True]}})),
        ("MAGNUS_TRACK_quoted", '"42"', ("quoted", 0, "42")),
        ("MAGNUS_TRACK_Loss_STEP_10", "0.5", ("Loss", 10, 0.5)),
        ("MAGNUS_TRACK_loss_STEP_-1", "0.5", ("loss", -1, 0.5)),
        ("MAGNUS_TRACK_loss_STEP_size_STEP_2", "7", ("loss_STEP_size", 2, 7)),
        ("MAGNUS_TRACK_digits", "9" * 5_000, ("digits", 0, "9" * 5_000)),
        ("MAGNUS_TRACK_deep", "[" * 100_000, ("deep", 0, "[" * 100_000)),
    ],
)
def test_a_variable_is_a_key_a_step_and_a_value(variable: str, text: str, expected: tuple[str, int, Any]) -> None:
    (found,) = read_variables({"PATH": "/bin", variable: text})

    assert found == (variable, *expected)
    assert type(found[3]) is type(expected[2])


@pytest.mark.parametrize(
    ("variable", "text", "key", "words"),
    [
        ("MAGNUS_TRACK_loss", "", None, "'MAGNUS_TRACK_loss' is empty: it is not tracked; give it a value"),
        ("MAGNUS_TRACK_", "1", None, "MAGNUS_TRACK_ has no key: it is not tracked; write MAGNUS_TRACK_<key>"),
        ("MAGNUS_TRACK__STEP_3", "1", None, "MAGNUS_TRACK__STEP_3 has no key"),
        ("MAGNUS_TRACK_loss_STEP_x", "1", "loss_STEP_x", "no integer follows _STEP_, so 'loss_STEP_x' is its key"),
        ("MAGNUS_TRACK_a_STEP_" + "9" * 19, "1", "a_STEP_" + "9" * 19, "no integer follows _STEP_"),
        ("MAGNUS_TRACK_eggs", "{'ham': 1}", "eggs", "'MAGNUS_TRACK_eggs' is no valid JSON"),
    ],
)
def test_one_line_is_said_about_each_that_is_not_right(
    variable: str, text: str, key: str | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        found = list(read_variables({variable: text}))

        assert [(one[1], one[2]) for one in found] == ([] if key is None else [(key, 0)])
    assert capsys.readouterr().err.count(words) == 1
