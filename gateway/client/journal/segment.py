"""
Segments: the files a journal consists of, and their stand-ins in memory.

A file has its blocks before anything is written to it: a full disk is an error when the segment is made, never a
SIGBUS in training. Each begins with a record that repeats what meta.json says, so that one intact segment is enough
to know whose it is, and names its own series, so that those before it can be deleted.
"""

from __future__ import annotations

import mmap
import os
import sys
from time import sleep

from gateway.client.journal.format import HEADER, SLOT, record_size, write_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.series import SeriesDefinition

SUFFIX = ".seg"
AHEAD = ".new"  # after the name of a segment that is made before it is needed
POPULATE_WRITE = 23  # madvise(2), Linux 5.14
POPULATE_BYTES = 262_144  # at once: Python holds its lock meanwhile
SIZES = (262_144, 1_048_576, 4_194_304, 16_777_216)  # bytes of the first, second, … and of all later ones
PAGE = 4_096


class Segment:
    """One segment. The journal writes; the producer reads what lies before the journal's end."""

    __slots__ = ("end", "first", "map", "number", "path", "series", "size")

    def __init__(self, number: int, place: mmap.mmap, path: str) -> None:
        self.number = number
        self.map = place
        self.path = path  # "": in memory
        self.size = len(place) // SLOT * SLOT
        self.first = 0  # where the first record after the header starts
        self.end = 0  # where the last record ends, once nothing more is written here
        self.series: dict[int, SeriesDefinition] = {}

    def publish(self) -> None:
        """Give a segment that was made ahead its name. Raises OSError."""
        path = self.path.removesuffix(AHEAD)
        os.rename(self.path, path)
        self.path = path

    def delete(self) -> None:
        """Remove the file; what is mapped stays readable."""
        if self.path:
            remove(self.path)


def size_of(number: int, need: int, header: int) -> int:
    """Return the bytes of segment `number` when `need` bytes must fit after the header."""
    wanted = SIZES[min(max(number, 1), len(SIZES)) - 1]
    least = record_size(header) + need
    return max(wanted, -(-least // PAGE) * PAGE)


def reserve_of(number: int) -> int:
    """Return the bytes at the end of segment `number` that points leave to events."""
    return SIZES[min(number, len(SIZES)) - 1] // 16


def create(folder: str, number: int, size: int, header: bytes, *, is_ahead: bool = False) -> Segment:
    """
    Return a new segment; one in memory when `folder` is empty. Raises OSError, and then leaves nothing behind.

    One that is made ahead is no part of the journal until it is published; its pages are in memory by then.
    """
    if not folder:
        segment = Segment(number, mmap.mmap(-1, size), "")
    else:
        path = os.path.join(folder, f"{number:08d}{SUFFIX}{AHEAD if is_ahead else ''}")
        # One that is there is in use or about to be: were it taken away, emits would go to a file without a name.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            reserve(handle, size)
            segment = Segment(number, mmap.mmap(handle, size), path)
        except OSError:  # the file must not outlive a failed reservation; the error goes on
            remove(path)
            raise
        except ValueError as error:
            remove(path)
            raise OSError(str(error)) from error
        finally:
            os.close(handle)
        if is_ahead:
            _populate(segment.map)
    write_record(segment.map, 0, HEADER, number, header)
    segment.first = segment.end = record_size(len(header))
    return segment


def _populate(place: mmap.mmap) -> None:
    """Have the pages of a file in memory, where the system can do so: else each is waited for when it is written."""
    if sys.platform != "linux":
        return
    for begin in range(0, len(place), POPULATE_BYTES):
        try:
            place.madvise(POPULATE_WRITE, begin, min(POPULATE_BYTES, len(place) - begin))
        except OSError:  # an older kernel, or no memory to spare
            return
        sleep(0)  # let training go on in between


def reserve(handle: int, size: int) -> None:
    """Give a file its blocks. Raises OSError when the disk has too few."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    zeros = bytes(1_048_576)  # macOS has no posix_fallocate
    for begin in range(0, size, len(zeros)):
        os.pwrite(handle, zeros[: size - begin], begin)


def numbers_in(folder: str) -> list[int]:
    """Return the numbers of the segments in a folder, in order."""
    stems = [name[: -len(SUFFIX)] for name in os.listdir(folder) if name.endswith(SUFFIX)]
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())


def remove(path: str) -> None:
    """Delete a file, if it is there and can be deleted."""
    try:
        os.unlink(path)
    except OSError:
        return  # gone, or not ours to delete: nothing depends on it
