"""
Keep what was written through a power cut: contents and names reach the disk before the call that wrote them returns.

PostgreSQL then records that the tracker has the events. Without this order that record, which PostgreSQL syncs, may
survive a power cut that takes the events. The content of a file and its name are two things to POSIX: `fsync` of a file
does not cover the entry in its folder (fsync(2), "does not necessarily ensure that the entry in the directory").
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP)  # of folders on some network file systems, which write names at once


def create_folder(path: Path) -> None:
    """Create a folder and its missing parents; their names are on the disk afterwards. Raises OSError."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder, and names removed from it, are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def replace_file(new: Path, path: Path) -> None:
    """Put a written file in the place of another; content and name are on the disk afterwards. Raises OSError."""
    sync_file(new)
    new.replace(path)
    sync_folder(path.parent)
