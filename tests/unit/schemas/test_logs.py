"""Every log entry is one line of the documented form, whatever it holds, and can be read back."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.runtime.logs import JsonLines, TextLines, configure, log_fatal, message_of, one_line, readable

ANYTHING = st.text(st.characters(), max_size=60)
HOSTILE = 'x\n{"level": "FORGED"}\r\x1b[2J\x00\x85\u2028\u202e\ud800 "quoted"'


def entry(message: str, *, error: BaseException | None = None, **fields: Any) -> logging.LogRecord:
    """Return an entry as a logger creates it."""
    trace = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("a.logger", logging.WARNING, "file.py", 1, "%s", (message,), trace)
    record.created = 1_700_000_000.25
    vars(record).update(fields)
    return record


@given(ANYTHING, ANYTHING)
def test_an_entry_in_json_is_one_line_that_holds_everything(message: str, value: str) -> None:
    line = JsonLines("live").format(entry(message, error=ValueError(value), partition=3, detail=value))

    found = json.loads(line)
    assert line.isascii()
    assert "\n" not in line
    assert (found["message"], found["detail"], found["partition"]) == (message, value, 3)
    assert (found["time"], found["level"], found["process"]) == ("2023-11-14T22:13:20.250Z", "WARNING", "live")
    assert found["exception"].startswith("ValueError")


@given(ANYTHING, ANYTHING)
def test_an_entry_in_text_is_one_line_without_anything_that_steers_a_terminal(message: str, value: str) -> None:
    line = TextLines("live").format(entry(message, detail=value))

    assert len(line.splitlines()) == 1
    assert line.startswith("2023-11-14T22:13:20.250Z WARNING ")
    assert one_line(line) == line
    line.encode()


def test_a_field_may_be_called_like_one_of_ours_without_replacing_it() -> None:
    found = json.loads(JsonLines("live").format(entry("real", time="forged", level="forged", process="forged")))

    assert (found["process"], found["message"], found["level"]) == ("live", "real", "WARNING")


def test_a_traceback_is_indented_in_text() -> None:
    lines = TextLines("live").format(entry("failed", error=ValueError(HOSTILE))).split("\n")

    assert lines[0] == "2023-11-14T22:13:20.250Z WARNING failed"
    assert all(line.startswith("  ") and one_line(line) == line for line in lines[1:])


def test_lines_of_either_form_are_shown_alike() -> None:
    record = entry("gone: " + HOSTILE, partition=3, detail="two words")

    assert readable(JsonLines("live").format(record)) == TextLines("live").format(record)
    assert readable(TextLines("live").format(record)) == TextLines("live").format(record)
    assert message_of(JsonLines("live").format(entry("why"))) == "why"


@pytest.mark.parametrize("line", ["plain", "{not json", '{"json": "of somebody else"}', "[1]", '{"time": 1}'])
def test_lines_of_others_are_shown_as_they_are(line: str) -> None:
    assert readable(line) == message_of(line) == line


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore the logging of the test process afterwards."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    for name in ("faust", "mode", "aiokafka", "uvicorn"):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "level", logger.level)
        monkeypatch.setattr(logger, "handlers", [])  # those of the client, if it was used in this process
        monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    monkeypatch.undo()
    root.setLevel(root.level)  # loggers cache what is enabled; this clears the cache


@pytest.mark.parametrize("vendor", ["faust", "aiokafka", "uvicorn.error"])
@pytest.mark.usefixtures("untouched")
def test_what_vendors_log_goes_the_same_way(vendor: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        configure("materialiser", "json", quiet={"aiokafka": logging.ERROR})
        logging.getLogger(vendor).error("hello")
    finally:
        logging.captureWarnings(False)

    found = json.loads(capsys.readouterr().err)
    assert (found["process"], found["logger"], found["message"]) == ("materialiser", vendor, "hello")


@pytest.mark.usefixtures("untouched")
def test_a_fatal_error_is_text_unless_json_is_configured(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        log_fatal("live", ValueError("no\nport"))
        configure("live", "json")
        log_fatal("live", ValueError("no port"))
    finally:
        logging.captureWarnings(False)

    text, line = capsys.readouterr().err.splitlines()
    assert text == "gateway: live: no\\nport"
    assert message_of(line) == "no port"
