"""The `gateway` command as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = [sys.executable, "-m", "gateway.cli"]


def environment(**variables: str) -> dict[str, str]:
    """Return our environment without settings, and with these variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | variables


def gateway(*arguments: str, timeout_s: float = 240, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it printed."""
    return gateway_with(variables, *arguments, timeout_s=timeout_s)


def gateway_with(
    variables: Mapping[str, str], *arguments: str, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run a command with these variables to its end and return what it printed."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(**variables),
        check=False,
        cwd=Path(sys.prefix),  # not the checkout: the installed packages run
    )
