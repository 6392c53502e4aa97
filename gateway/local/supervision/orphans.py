"""
Find and end processes that survived a killed supervisor.

On Linux the kernel ends the children of a dead supervisor; elsewhere, and for grandchildren, this module does. A
process belongs to the stack when stack.json names it (pid and start time), or when it is in the process group of one
that stack.json names and its environment names this home. An unrelated process that got an old pid is neither.
"""

from __future__ import annotations

import contextlib

import psutil

from gateway.local.home import Home, find_process
from gateway.local.supervision.process import group_members
from schemas.errors import StackError

TERM_WAIT_S = 5
KILL_WAIT_S = 10


def find_orphans(home: Home) -> list[psutil.Process]:
    """Return the living processes of this home, without the caller."""
    records = home.read()["processes"].values()
    found = {process for record in records if (process := find_process(record))}
    for process in group_members(record["pid"] for record in records if record["pid"]):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile, or is another user's and so not ours
            if process.environ().get("GATEWAY_HOME") == str(home.folder):
                found.add(process)
    found.discard(psutil.Process())
    return sorted(found, key=lambda process: process.pid)


def end_orphans(home: Home) -> None:
    """End them, and delete their ready files. Raises StackError naming a process that does not end."""
    found = find_orphans(home)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=TERM_WAIT_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    if stuck := psutil.wait_procs(alive, timeout=KILL_WAIT_S)[1]:
        raise StackError(
            f"process {stuck[0].pid} of an earlier start of {home.folder} does not end: "
            "end it by hand, then run `gateway up`"
        )
    home.forget_ready(home.read()["processes"])
