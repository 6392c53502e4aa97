"""
What to run as a process of a stack.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    """
    A process to start.

    `env` is added to the environment it gets. `user` (a system user) and `folder` (working folder) are None where the
    supervisor's own are right.
    """

    argv: list[str]
    env: dict[str, str]
    user: str | None = None
    folder: Path | None = None
