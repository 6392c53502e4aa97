"""The `gateway` command as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.python_process import PythonProcess

COMMAND = [sys.executable, "-m", "gateway.cli"]


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of the tests without GATEWAY_ settings, with these variables added."""
    return {
        name: value for name, value in os.environ.items() if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
    } | variables


def gateway(*arguments: str, timeout_s: float = 240, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return its output."""
    return gateway_with(variables, *arguments, timeout_s=timeout_s)


def gateway_with(
    variables: Mapping[str, str], *arguments: str, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run a command with these variables to its end and return its output; one that hangs prints its stack."""
    argv = [*COMMAND, *arguments]
    process = PythonProcess(
        argv,
        env=environment(**variables, PYTHONFAULTHANDLER="1"),
        cwd=Path(sys.prefix),  # outside the checkout, so that the installed packages run
    )
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        out, err = process.communicate()
        raise AssertionError(f"`gateway {' '.join(arguments)}` takes more than {timeout_s} s: {out}{err}") from None
    finally:
        process.kill()
    return subprocess.CompletedProcess(argv, process.wait(), out, err)
