"""The logs of a stack: last lines, of text and of JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.local.home import Home, tail
from gateway.local.logs import last_lines


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.create()
    return found


def test_the_last_lines_of_a_log_are_those_with_words(home: Home) -> None:
    home.log("kafka").write_text("first\nsecond\n\nthird\n\n")

    assert tail(home.log("kafka"), 2) == ["second", "third"]
    assert home.last_line("kafka") == "third"
    assert list(last_lines({"kafka": home.log("kafka")}, 1, prefix=True)) == ["kafka | third"]


def test_lines_in_json_are_shown_as_text_and_named_as_last_words(home: Home) -> None:
    line = {
        "time": "2026-01-01T00:00:00.000Z",
        "level": "ERROR",
        "process": "live",
        "logger": "x",
        "message": "a\u2028b",
    }
    home.log("live").write_text("plain\n" + json.dumps(line) + "\n")

    assert list(last_lines({"live": home.log("live")}, 2, prefix=True)) == [
        "live | plain",
        "live | 2026-01-01T00:00:00.000Z ERROR a\\u2028b",
    ]
    assert home.last_line("live") == home.last_words("live", 0) == "a\\u2028b"
