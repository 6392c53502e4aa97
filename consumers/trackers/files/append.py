"""
Append to a file of a run, so that repeating the call after a crash gives the same file.

The stored state of a run says how many bytes of its file are confirmed. Bytes that a process wrote after them before it
died are cut off before the next append: no record is missing, and none is there twice. What a call wrote is on the
disk when it returns: a state must not confirm bytes that a power cut can take (see durable.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from consumers.trackers.files.durable import create_folder, sync_folder
from schemas.errors import TrackerRefused, TrackerUnavailable

# Names of the files in a folder of a run. Other programs may write there too: a SummaryWriter, a person.
WRITTEN = ("part-*.parquet", "events.out.tfevents.*.gateway", "run-*.wandb", "run-*.wandb.synced", "_*.new")
AGAIN = "deliver the run again from the start"


def append_at(path: Path, length: int, data: bytes) -> None:
    """
    Write `data` after the first `length` bytes of a file and truncate it there.

    With `length` 0 the file is created, with its folder. Raises TrackerUnavailable if the disk does not accept the
    data, TrackerRefused if those first bytes are gone.
    """
    try:
        if not length:
            create_folder(path.parent)
        descriptor = os.open(path, os.O_WRONLY if length else os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            if os.fstat(descriptor).st_size < length:
                raise TrackerRefused(f"{path} is shorter than the {length} bytes written: {AGAIN}")
            os.ftruncate(descriptor, length)
            os.lseek(descriptor, length, os.SEEK_SET)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        if not length:
            sync_folder(path.parent)
    except FileNotFoundError:
        raise TrackerRefused(f"{path} is gone: put it back, or {AGAIN}") from None
    except OSError as error:
        raise TrackerUnavailable(f"{path} cannot be written ({error}): check the disk and its permissions") from error


def refuse_surplus(path: Path, length: int) -> None:
    """Raise TrackerRefused if a file is longer than the bytes that were delivered: its readers see more than those."""
    try:
        size = path.stat().st_size
    except OSError:
        return  # the reader says so
    if size > length:
        raise TrackerRefused(
            f"{path} has {size - length} bytes after those delivered: a call for this run has not ended, or another "
            f"program wrote them; {AGAIN}"
        )


def write_new(path: Path, pieces: Iterable[bytes]) -> int:
    """Write a new file, piece by piece, for `EditPlan.commit`; return its size in bytes. Raises TrackerUnavailable."""
    try:
        with path.open("wb") as file:
            return sum(map(file.write, pieces))
    except OSError as error:
        raise TrackerUnavailable(f"{path} cannot be written ({error}): check the disk") from error


def remove_file(path: Path) -> None:
    """Remove a file if it exists. Raises TrackerUnavailable."""
    try:
        path.unlink()
        sync_folder(path.parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise TrackerUnavailable(f"{path} cannot be removed ({error}): check its permissions") from error


def has_written(folder: Path) -> bool:
    """Return True if a folder of a run has files that trackers wrote. Raises OSError."""
    return folder.is_dir() and bool(_written(folder))


def _written(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if any(path.match(pattern) for pattern in WRITTEN)]


def remove_folder(folder: Path) -> None:
    """
    Remove what trackers wrote to a folder of a run, and the folder unless other files are in it.

    Raises TrackerUnavailable.
    """
    try:
        if not folder.is_dir():
            return
        for path in _written(folder):
            path.unlink()
        if next(folder.iterdir(), None) is None:
            folder.rmdir()
            sync_folder(folder.parent)
        else:
            sync_folder(folder)
    except OSError as error:
        raise TrackerUnavailable(f"{folder} cannot be removed ({error}): check its permissions") from error
