"""
Processes that the processes of a load have started for themselves, found by the home that they inherit.

Such a process may outlive its starter and have a session of its own: the CPU time of the starter does not include it,
and ending the starter's group does not end it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

NAME = "started by producers"  # of this part in a table


class LeftRunning:
    """The processes with this `GATEWAY_HOME`, except `parent` and the producers, which it has forked."""

    def __init__(self, home: Path, parent: int) -> None:
        self._home, self._parent = str(home), parent

    def cpu_s(self) -> dict[str, float]:
        """Return the user and system time that they have used, seconds; empty if there are none."""
        found: list[float] = []
        for process in self._found():
            with suppress(psutil.Error):  # it has ended
                found.append(sum(process.cpu_times()[:2]))
        return {NAME: sum(found)} if found else {}

    def end(self) -> None:
        """Send SIGKILL to them."""
        for process in self._found():
            with suppress(psutil.Error):
                process.kill()

    def _found(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self._is_one(process)]

    def _is_one(self, process: psutil.Process) -> bool:
        try:
            if process.pid == self._parent or process.ppid() == self._parent:
                return False
            return bool(process.environ().get("GATEWAY_HOME") == self._home)
        except (psutil.Error, OSError):  # it has ended, or is another user's
            return False
