"""
Keep the bytes of a file as they are now, until they are uploaded: training overwrites `model.pt` every epoch.

    up to 64 MiB in one call   a copy, made before the call returns
    larger                     a clone that shares the blocks, where the file system makes one (Btrfs, XFS)
                               else a hard link: it survives deletion and replacement, not writing into the file
    neither is possible        nothing: the file is read where it is

Only regular files are opened: a pipe would wait for its writer, and a device may never end.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from gateway.client.artifacts.store import READ_BYTES
from gateway.client.guards import Refused

try:
    import fcntl
except ImportError:  # Windows: no clones
    fcntl = None  # type: ignore[assignment]  # a module or nothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COPY_BYTES = 67_108_864  # copied in one call: about 40 ms
DISK_SHARE = 4  # the part of the free disk that one copy takes at most
LINK_BYTES = 1 << 62  # one file of any size: the link itself takes no disk
FICLONE = 0x40049409  # ioctl_ficlone(2)

COPIED, LINKED, IN_PLACE = "copied", "linked", "in place"


class Snapshot:
    """How the bytes of a file are kept, and what the file was when they were."""

    __slots__ = ("identity", "kind", "size")

    def __init__(self, kind: str, identity: list[int]) -> None:
        self.kind = kind
        self.identity = identity  # see identity_of
        self.size = identity[2]  # bytes


def take_snapshot(path: str, kept: str, budget: int, links: int) -> Snapshot:
    """
    Keep the bytes of a file at the path `kept`; "" for nowhere. At most `budget` bytes are copied, or `links` linked.

    Raises OSError if the file cannot be read, and Refused if it is not a regular file.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Refused("artifact-kind", f"{path} is no regular file: its bytes are not stored")
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):  # replaced at this moment
            raise Refused("artifact-kind", f"{path} is no regular file: its bytes are not stored")
        identity = identity_of(found)
        if kept and (_copy(handle, kept, budget) if found.st_size <= budget else _clone(handle, kept)):
            return Snapshot(COPIED, identity)
    finally:
        os.close(handle)
    if kept and identity[2] <= links:
        with suppress(OSError):
            os.link(os.path.realpath(path), kept)
            return Snapshot(LINKED, identity)
    return Snapshot(IN_PLACE, identity)


def identity_of(found: os.stat_result) -> list[int]:
    """Return what changes when a file is replaced or written: device, inode, size and time (ns)."""
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns]


def free_bytes(folder: str) -> int:
    """Return the free bytes of a disk; 0 if that is not known."""
    try:
        disk = os.statvfs(folder)
    except (OSError, AttributeError):
        return 0
    return disk.f_bavail * disk.f_frsize


def copy_budget(free: int, left: int) -> int:
    """Return how many bytes of a file may be copied to a disk with `free` bytes, of `left` in this call."""
    return min(left, free // DISK_SHARE)


def link_budget(free: int, linked: int) -> int:
    """
    Return how many bytes may be linked on a disk with `free` bytes, after `linked` bytes that wait.

    Training that deletes its old checkpoints frees no disk while they are linked: they must not fill it.
    """
    return free - linked if linked else LINK_BYTES


def _copy(source: int, kept: str, budget: int) -> bool:
    """Copy a file; False if there is no room, or it grows beyond the budget."""
    try:
        with _new_file(kept) as file:
            while data := os.read(source, READ_BYTES):
                budget -= len(data)
                if budget < 0:
                    break
                file.write(data)
    except OSError:
        budget = -1
    if budget < 0:
        with suppress(OSError):
            os.unlink(kept)
    return budget >= 0


def _clone(source: int, kept: str) -> bool:
    """Make a copy that shares the blocks; False where the file system cannot."""
    if fcntl is None:
        return False
    try:
        with _new_file(kept) as file:
            fcntl.ioctl(file.fileno(), FICLONE, source)
    except OSError:
        with suppress(OSError):
            os.unlink(kept)
        return False
    return True


def _new_file(path: str) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
