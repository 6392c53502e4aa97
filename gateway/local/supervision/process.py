"""
Start one child of a stack, and end it reliably.

Each child leads a process group of its own: Ctrl-C in a terminal reaches only the process that decides the order of
ending, and whatever the child has started ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import IO

import psutil

from gateway.local.command import Command

LAUNCH = Path(__file__).with_name("launch.py")


def spawn(
    command: Command,
    log: IO[bytes] | int,
    *,
    environment: Mapping[str, str] | None = None,
    death_signal: int = signal.SIGKILL,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """
    Start a child in `folder` whose output goes to `log`. `environment` replaces ours; the command's own is added.

    On Linux the child gets `death_signal` when the calling thread ends; call from the main thread.
    """
    argv = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(death_signal)), command.user or ""]
    return subprocess.Popen(
        [*argv, *command.argv],
        env={**(os.environ if environment is None else environment), **command.env},
        cwd=command.folder or folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def wait_until(ready: Callable[[], bool], child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Poll `ready` until it is true. Returns False when the child died or time ran out."""
    deadline = monotonic() + timeout_s
    while child.poll() is None and monotonic() < deadline:
        if ready():
            return True
        sleep(0.05)
    return False


def end(child: subprocess.Popen[bytes], *, timeout_s: float, stop_signal: int = signal.SIGTERM) -> None:
    """Ask the child to stop; after `timeout_s` kill its whole group. Returns when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(stop_signal)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout_s)
    kill_group(child.pid)
    child.wait()


def kill_group(leader: int) -> None:
    """Send SIGKILL to what is left of the process group that `leader` led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def group_members(leaders: Iterable[int]) -> list[psutil.Process]:
    """Return the living processes, without zombies, of the process groups led by `leaders`."""
    wanted = set(leaders)
    found = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError, psutil.Error):
            if os.getpgid(process.pid) in wanted and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
