"""
Whether a free lock of a journal proves that its process has ended.

It does where that process would take its lock in the kernel of this machine. On a file system that several machines
share it may not: with BeeGFS, with Lustre's `localflock` and with NFS' `local_lock` each machine sees its own locks
only, and a client cannot tell these mounts from others. There a journal of another host is left to that host, unless a
person says that its process has ended.
"""

from __future__ import annotations

import os
import re

from gateway.client.process.owner import this_machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MOUNTS = "/proc/self/mountinfo"
# File systems that one machine mounts at a time; overlay and tmpfs are those of containers.
LOCAL = frozenset((
    "apfs", "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "msdos", "ntfs", "ntfs3", "overlay",
    "ramfs", "reiserfs", "squashfs", "tmpfs", "udf", "ufs", "vfat", "xfs", "zfs",
))  # fmt: skip


class OtherHost(OSError):
    """The process of a journal ran on another host, and may live."""


def check_host(meta: Mapping[str, Any], folder: str) -> None:
    """Raise OtherHost if a free lock of the journal in `folder` does not prove that its process has ended."""
    host, here = meta.get("host"), this_machine()
    is_same_kernel = bool(here["boot"]) and meta.get("boot") == here["boot"]  # also in another container
    if not host or host == here["host"] or is_same_kernel or file_system(folder) in LOCAL:
        return
    raise OtherHost(
        f"its process runs or ran on host {host}, and locks of other hosts may not be visible here: run `gateway sync` "
        "there, or, once the process has ended, with --other-hosts here"
    )


def file_system(folder: str) -> str:
    """Return the type of the file system that holds a folder, "" if it cannot be found out."""
    path, found, longest = os.path.realpath(folder), "", -1
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds:
            continue
        point = re.sub(r"\\([0-7]{3})", _character, fields[4]).rstrip("/")
        # The last of several mounts at one place is the visible one.
        if (path == point or path.startswith(point + "/")) and len(point) >= longest:
            found, longest = kinds[0], len(point)
    return found


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 8))  # a space, a tab, a line end or a backslash: proc(5)
