"""
What a power cut leaves of a folder: only what was synced, contents and names apart.

POSIX promises no more (fsync(2)). Real file systems often keep more, and then a missing call is never noticed.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest


class SyncedDisk:
    """Records each `fsync` and `fdatasync` that Python code of this process calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._contents: dict[int, bytes] = {}  # inode of a file: its bytes at the last sync
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}  # inode of a folder: its entries (inode, is a folder)
        self._open: list[int] = []  # so that no inode number is used again
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._recorded)

    def _recorded(self, descriptor: int) -> None:
        self._open.append(os.dup(descriptor))
        inode = os.fstat(descriptor)
        path = f"/proc/self/fd/{descriptor}"
        if stat.S_ISDIR(inode.st_mode):
            with os.scandir(path) as entries:
                self._names[inode.st_ino] = {one.name: (one.inode(), one.is_dir()) for one in entries}
        else:
            self._contents[inode.st_ino] = Path(path).read_bytes()

    def after_power_cut(self, folder: Path, copy: Path) -> Path:
        """Write what is left of `folder` into a new folder; a file whose content was never synced is empty."""
        copy.mkdir()
        for name, (inode, is_folder) in self._names.get(folder.stat().st_ino, {}).items():
            self._restore(inode, copy / name, is_folder=is_folder)
        return copy

    def _restore(self, inode: int, path: Path, *, is_folder: bool) -> None:
        if not is_folder:
            path.write_bytes(self._contents.get(inode, b""))
            return
        path.mkdir()
        for name, (entry, is_inner_folder) in self._names.get(inode, {}).items():
            self._restore(entry, path / name, is_folder=is_inner_folder)

    def close(self) -> None:
        """Close the files that were kept open."""
        for descriptor in self._open:
            os.close(descriptor)
