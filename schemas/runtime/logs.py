"""
Logs of our processes: one line per entry, as text for people or as JSON for programs.

All loggers write through this module, those of faust, aiokafka and uvicorn too. An entry may hold a run's name or a
broker's answer, but it can neither end its line nor control a terminal: control characters are written as escapes. A
traceback is one line in JSON, and in text further lines that begin with two blanks.

    configure("materialiser", settings.log_format)
    log.info("reading %s", topic, extra={"partitions": 8})

`extra` adds fields to an entry. `readable` turns a line of either form into text for people, for `gateway logs`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

LogFormat = Literal["text", "json"]

QUIET = {  # libraries that log every attempt during an outage; ours report an outage once
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "aiokafka": logging.CRITICAL,
    "uvicorn": logging.WARNING,
}
# C0, DEL, C1, separators that some readers treat as a line end, marks that change the direction of text, surrogates
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_EXTRA = ("message", "asctime", "taskName", "color_message")
_STANDARD = {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), *_EXTRA}
_OURS = ("time", "level", "process", "message")


def configure(process: str, form: LogFormat, *, quiet: dict[str, int] | None = None) -> None:
    """Send all logs of this process to stderr in one form. `quiet` overrides levels of QUIET."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(process) if form == "json" else TextLines(process))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name, level in {**QUIET, **(quiet or {})}.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


def log_fatal(process: str, error: BaseException) -> None:
    """Log why this process ends; the supervisor shows the last line of the log. JSON if `configure` has chosen it."""
    handlers = logging.getLogger().handlers
    if handlers and isinstance(handlers[0].formatter, JsonLines):
        logging.getLogger(process).critical("%s", error)
    else:
        print(f"gateway: {process}: {one_line(str(error))}", file=sys.stderr, flush=True)  # noqa: T201 - no logger is configured yet


def one_line(text: str) -> str:
    """Return text with every character that could end a line or control a terminal written as an escape."""
    return _HARMFUL.sub(lambda found: _escape(found.group()), text)


def readable(line: str) -> str:
    """Return a line for people: a line of JsonLines as text, any other with control characters escaped."""
    entry = _entry(line)
    if entry is None:
        return one_line(line)
    parts = [f"{entry['time']} {entry['level']} {entry['message']}"]
    parts += [f"{name}={_short(value)}" for name, value in entry.items() if name not in (*_OURS, "logger", "exception")]
    text = one_line(" ".join(parts))
    trace = entry.get("exception")
    return text if not isinstance(trace, str) else "\n".join([text, *_indented(trace)])


def message_of(line: str) -> str:
    """Return the message of a line of JsonLines; any other line unchanged."""
    entry = _entry(line)
    return line if entry is None else one_line(str(entry["message"]))


class JsonLines(logging.Formatter):
    """One JSON object per line: time (UTC), level, process, logger, message, the entry's fields, exception."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, ASCII only."""
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in _extra_fields(record).items() if name not in entry}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class TextLines(logging.Formatter):
    """Time (UTC), level, message and fields as name=value; a traceback in further lines that begin with two blanks."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of the entry, and those of its traceback."""
        fields = "".join(f" {name}={_short(value)}" for name, value in _extra_fields(record).items())
        line = one_line(f"{_time(record)} {record.levelname} {record.getMessage()}{fields}")
        trace = _indented(self.formatException(record.exc_info)) if record.exc_info else []
        return "\n".join([line, *trace])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra_fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _short(value: Any) -> str:
    return value if isinstance(value, str) and value and " " not in value else json.dumps(value, default=str)


def _indented(trace: str) -> list[str]:
    return ["  " + one_line(line) for line in trace.split("\n")]


def _escape(character: str) -> str:
    return character if character == "\t" else character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _entry(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and all(name in entry for name in _OURS) else None


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger().critical("unexpected %s: %s", kind.__name__, error, exc_info=(kind, error, trace))
