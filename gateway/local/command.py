"""
TODO.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    """A process to start: arguments, additions to the environment, system user and working folder when not ours."""

    argv: list[str]
    env: dict[str, str]
    user: str | None = None
    folder: Path | None = None
