"""Find the processes of a home, for tests that kill them all or count those that are left."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Set
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil

DEADLINE_S = 150.0


def until(reached: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Poll until a condition holds; at the deadline fail and name it."""
    deadline = monotonic() + deadline_s
    while not reached():
        assert monotonic() < deadline, f"not within {deadline_s} s: {what}"
        sleep(0.05)


def processes_of(home: Path) -> list[psutil.Process]:
    """Return every living process that has this home in its arguments, environment or working folder."""
    found = []
    for process in psutil.process_iter(["pid", "status", "cmdline", "environ", "cwd"]):
        info = process.info
        knows = [*(info["cmdline"] or []), (info["environ"] or {}).get("GATEWAY_HOME", ""), info["cwd"] or ""]
        ours = any(str(home) in text for text in knows)
        if ours and info["status"] != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
            found.append(process)
    return found


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def kill_all(home: Path, *, but: Set[int] = frozenset()) -> int:
    """Send SIGKILL to every process of a home at once, except `but`, and return their number."""
    found = [process for process in processes_of(home) if process.pid not in but]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not any(map(_lives, found)), "killed processes are gone")  # and have released their ports
    until(lambda: not [one for one in processes_of(home) if one.pid not in but], "no process started another")
    return len(found)
