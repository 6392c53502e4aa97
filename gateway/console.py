"""
What the commands of this side share: common options, and one way to print.

Facts go to stdout, everything else to stderr.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.runtime.terminal import json_text, make_console
from schemas.runtime.text import escape_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the stack. Default: GATEWAY_HOME, or the user's data directory."),
]
_COMMAND = re.compile(r"`(gateway (?!demo)[^`]*)`")
JsonOption = Annotated[bool, typer.Option("--json", help="Print the facts as one JSON document.")]


def print_json(facts: Any) -> None:
    """Print facts for programs, as one JSON document on stdout. Raises ValueError for NaN and infinity."""
    print(json_text(facts))


def console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is: no markup, no guessed colours, no wrapping, nothing unprintable."""
    return make_console(stderr=stderr)


class ShownProgress:
    """Shows progress on stderr: bars at a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> ShownProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def download(self, what: str, done_bytes: int, total_bytes: int) -> None:
        """Move the bar of `what`; without a terminal, print a line at its start and at its end."""
        if self._console.is_terminal:
            bars = self._bars = self._bars or self._new_bars()
            if what not in self._tasks:
                self._tasks[what] = bars.add_task(f"downloading {what}", total=total_bytes)
            bars.update(self._tasks[what], completed=done_bytes)
        elif done_bytes in (0, total_bytes):
            verb = "downloading" if done_bytes == 0 else "downloaded"
            self.report(f"{verb} {what} ({total_bytes / 1e6:.0f} MB)")

    def report(self, line: str) -> None:
        """Print one line."""
        self._console.print(line)

    def _new_bars(self) -> Progress:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=self._console,
        )
        bars.start()
        return bars


def named_home(arguments: Sequence[str]) -> str | None:
    """Return the folder that these arguments of a command give as its home."""
    for number, argument in enumerate(arguments):
        if argument.startswith("--home="):
            return argument.removeprefix("--home=")
        if argument == "--home" and number + 1 < len(arguments):
            return arguments[number + 1]
    return None


def with_home(text: str, home: str | None) -> str:
    """Return advice with the home added to each command that it names: without it the command means another stack."""
    if home is None:
        return text
    option = f" --home {shlex.quote(home)}"
    return _COMMAND.sub(lambda found: f"`{found[1]}{'' if '--home' in found[1] else option}`", text)


def print_notice(line: str) -> None:
    """Print one line for people, on stderr."""
    print(escape_lines(line), file=sys.stderr, flush=True)
