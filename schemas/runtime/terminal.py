"""
Print to people, whatever the text holds and whatever the terminal can show.

Names, messages and notes come from training code, and from anyone who may write events. None of them may control the
terminal, and a character that its encoding lacks is printed as an escape instead of ending the command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from schemas.runtime.text import escape_lines, mask_lines

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


def accept_any_text() -> None:
    """
    Have stdout and stderr escape what their encoding cannot hold, and read arguments as UTF-8 if they are that.

    For the entry of a command. Without a locale Python reads each byte beyond ASCII of an argument as half a surrogate.
    """
    sys.argv = [_read_argument(one) for one in sys.argv]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not a stream of a program that calls the command
            stream.reconfigure(errors="backslashreplace")


def _read_argument(text: str) -> str:
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text  # a path may be any bytes


def json_text(facts: Any, *, indent: int | None = 2) -> str:
    """Return facts as JSON in ASCII, which every terminal shows and none obeys. Raises ValueError for NaN, infinity."""
    return json.dumps(facts, indent=indent, allow_nan=False)


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that prints text as it is: no markup, no guessed colours, no wrapping, nothing unprintable."""
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            super().print(*(escape_lines(one) if isinstance(one, str) else one for one in objects), **options)

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for one in super().render(renderable, options):  # cells of tables, labels of bars
                yield one if one.control else Segment(mask_lines(one.text), one.style)

    return PlainConsole(stderr=stderr, highlight=False, markup=False, soft_wrap=True)
