"""
How every command of this side prints: facts on stdout, everything else on stderr.

stdout carries only what a script may read. Notices, questions, warnings and progress go to stderr, and each notice
starts with `gateway: `. JSON is ASCII, so that control characters in names that others chose cannot reach a terminal.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from schemas.errors import BadSettings
from schemas.runtime.terminal import json_text, make_console
from schemas.runtime.text import escape_lines

if TYPE_CHECKING:
    from rich.console import Console


def print_line(line: str) -> None:
    """Print one line of facts for people, on stdout."""
    print(escape_lines(line))  # noqa: T201 - the one place of this side that prints facts


def print_json(facts: Any) -> None:
    """Print facts for programs, as one JSON document on stdout. Raises ValueError for NaN and infinity."""
    print_line(json_text(facts))


def print_notice(line: str) -> None:
    """Print one notice for people, on stderr."""
    print(escape_lines(f"gateway: {line}"), file=sys.stderr, flush=True)  # noqa: T201 - the one place of this side that prints notices


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is: no markup, no guessed colours, no wrapping, nothing unprintable."""
    return make_console(stderr=stderr)


def confirm(question: str, *, instead: str) -> None:
    """
    Return once the user agrees. Raises typer.Abort when the user declines.

    Raises BadSettings when stdin is not a terminal; `instead` names the options that make the question unnecessary.
    """
    require_terminal(instead)
    typer.confirm(question, err=True, abort=True)


def require_terminal(instead: str) -> None:
    """Raise BadSettings when stdin is not a terminal, so that no question can be asked."""
    if not sys.stdin.isatty():
        raise BadSettings(f"confirmation is needed, and stdin is not a terminal: add {instead}")


class WarningLines(logging.Handler):
    """Hands the message of each logged warning and error to `print_one`, for commands that show a progress bar."""

    def __init__(self, print_one: Callable[[str], None], *, ignore: tuple[str, ...] = ()) -> None:
        super().__init__(logging.WARNING)
        self._print_one = print_one
        self._ignore = ignore  # beginnings of messages that are no news to the user

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message of one log record."""
        line = record.getMessage()
        if not line.startswith(self._ignore):
            self._print_one(line)
