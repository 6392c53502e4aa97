"""
Name a process so that another one can prove that it is gone.

A process id alone proves nothing: it is used again, and on another machine, after a restart of the machine or in
another container it means another process. So the name holds all of that.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

BOOT_ID = "/proc/sys/kernel/random/boot_id"  # Linux; elsewhere the process id has to do
PID_SPACE = "/proc/self/ns/pid"


def this_process() -> dict[str, Any]:
    """Return the name of this process, as JSON can hold it."""
    return name_of(os.getpid())


def name_of(pid: int) -> dict[str, Any]:
    """Return the name of a living process of this machine."""
    return {**this_machine(), "pid": pid, "started": started_ticks(pid)}


def is_this_process(owner: Mapping[str, Any]) -> bool:
    """Return whether a name is that of this process."""
    return dict(owner) == this_process()


def is_gone(owner: Mapping[str, Any]) -> bool:
    """Return whether it is proved that the process of this name has ended; False also if nothing is known about it."""
    here, pid = this_machine(), owner.get("pid")
    if owner.get("host") != here["host"] or type(pid) is not int:
        return False
    if owner.get("boot") != here["boot"]:
        return True  # the machine was started again since
    if owner.get("space") != here["space"]:
        return False  # the other one is in a container: its process id means nothing here
    if not os.path.isdir("/proc/self"):
        return not _exists(pid)
    return started_ticks(pid) != owner.get("started")


def is_alive(owner: Mapping[str, Any]) -> bool:
    """Return whether it is proved that the process of this name lives; False also if nothing is known about it."""
    here = this_machine()
    return type(owner.get("pid")) is int and {name: owner.get(name) for name in here} == here and not is_gone(owner)


def boot_id() -> str:
    """Return what names the present run of this machine's kernel; "" if it does not say."""
    try:
        with open(BOOT_ID, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def this_machine() -> dict[str, str]:
    """Return what the name of a process says of its machine: host, present run of its kernel, space of process ids."""
    try:
        space = os.readlink(PID_SPACE)
    except OSError:
        space = ""
    return {"host": os.uname().nodename if hasattr(os, "uname") else "", "boot": boot_id(), "space": space}


def started_ticks(pid: int) -> str:
    """Return when a process started, in clock ticks since the machine did; "" if there is none, or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the name in parentheses may hold spaces
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    except (OSError, IndexError):
        return ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it belongs to another user
    return True
