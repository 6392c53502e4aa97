"""Which processes belong to a home, for tests that kill them all or count what is left."""

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
    """Poll until a condition holds; fail, naming it, at the deadline."""
    deadline = monotonic() + deadline_s
    while not reached():
        assert monotonic() < deadline, f"not within {deadline_s} s: {what}"
        sleep(0.05)


def processes_of(home: Path) -> list[psutil.Process]:
    """Return every living process that knows this home from its arguments, environment or working folder."""
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
    """SIGKILL every process of a home at once, and return how many there were."""
    found = [process for process in processes_of(home) if process.pid not in but]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    until(lambda: not any(map(_lives, found)), "killed processes are gone")  # with the ports they held
    until(lambda: not [one for one in processes_of(home) if one.pid not in but], "nobody started another")
    return len(found)
