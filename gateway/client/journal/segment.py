"""
Segments: the files a journal consists of, or their equivalent in memory.

All blocks of a file are allocated before anything is written to it: a full disk is an error when the segment is made,
never a SIGBUS in training. Each segment begins with a record that repeats meta.json, so one intact segment is enough
to tell whose it is. Each also defines its own series, so the segments before it can be deleted.
"""

from __future__ import annotations

import mmap
import os
import sys
from contextlib import suppress
from time import sleep

from gateway.client.journal.format import HEADER, SLOT, record_size, write_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.rows.columns import ColumnsDefinition
    from gateway.client.journal.series import SeriesDefinition

SUFFIX = ".seg"
PREALLOCATED = ".new"  # appended to the name of a segment that is made before it is needed
POPULATE_WRITE = 23  # madvise(2), Linux 5.14
POPULATE_BYTES = 262_144  # in one call, during which Python holds the GIL
SMALLEST = 131_072  # bytes of a segment where there is little room
SIZES = (262_144, 1_048_576, 4_194_304, 16_777_216)  # bytes of the first, second, … and of all later segments
PAGE = 4_096


class Segment:
    """One segment. The journal writes it; the producer reads what lies before the journal's end."""

    __slots__ = ("columns", "end", "first", "map", "number", "path", "points_end", "series", "size")

    def __init__(self, number: int, memory: mmap.mmap, path: str, reserve: int = 0) -> None:
        self.number = number
        self.map = memory
        self.path = path  # "": in memory
        self.size = len(memory) // SLOT * SLOT
        self.points_end = self.size - reserve if reserve else 0  # no point starts here or later; 0: for events alone
        self.first = 0  # offset of the first record after the header
        self.end = 0  # offset after the last record, once nothing more is written here
        self.series: dict[int, SeriesDefinition] = {}
        self.columns: dict[int, ColumnsDefinition] = {}

    def publish(self) -> None:
        """Give a preallocated segment its final name. Raises OSError."""
        path = self.path.removesuffix(PREALLOCATED)
        os.rename(self.path, path)
        self.path = path

    def delete(self) -> None:
        """Remove the file. The mapped memory stays readable."""
        if self.path:
            remove(self.path)

    def release(self) -> None:
        """Close the file, which was deleted."""
        with suppress(BufferError):  # somebody still reads it
            if self.path:
                self.map.close()

    def reuse(self, number: int, used: int, header: bytes) -> Segment:
        """
        Return the same memory as the next segment. All `used` bytes of this one are acknowledged. Raises OSError.

        The bytes are cleared before the file gets its new name: old records under a new number would be sent again.
        """
        for begin in range(0, used, len(_ZEROS)):
            size = min(len(_ZEROS), used - begin)
            self.map[begin : begin + size] = _ZEROS[:size]
        path = self.path and os.path.join(os.path.dirname(self.path), f"{number:08d}{SUFFIX}")
        if path:
            os.rename(self.path, path)
        made = Segment(number, self.map, path)
        made.points_end = self.points_end
        _write_header(made, header)
        return made


_ZEROS = bytes(262_144)


def size_of(wanted: int, need: int, header: int) -> int:
    """Return the bytes of a segment of about `wanted` bytes with room for points of `need` bytes after its header."""
    least = record_size(header) + need + reserve_of(wanted)
    return max(wanted, -(-least // PAGE) * PAGE)


def reserve_of(wanted: int) -> int:
    """Return the bytes at the end of a segment that points leave to events."""
    return wanted // 16


def create(
    folder: str, number: int, size: int, header: bytes, *, reserve: int = 0, is_preallocated: bool = False
) -> Segment:
    """
    Return a new segment, in memory when `folder` is empty. Raises OSError, and then leaves no file behind.

    A preallocated segment does not belong to the journal until it is published. Its pages are already in memory.
    """
    if not folder:
        segment = Segment(number, mmap.mmap(-1, size), "", reserve)
    else:
        path = os.path.join(folder, f"{number:08d}{SUFFIX}{PREALLOCATED if is_preallocated else ''}")
        if not is_preallocated:
            remove(path)  # Ctrl-C interrupted the emit that made it: no segment in use has this number
        # An existing preallocated file is about to be used: replacing it would send emits to a file without a name.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            allocate(handle, size)
            segment = Segment(number, mmap.mmap(handle, size), path, reserve)
        except ValueError as error:
            remove(path)
            raise OSError(str(error)) from error
        except BaseException:  # Ctrl-C too: the file must not outlive a failed reservation; the error is passed on
            remove(path)
            raise
        finally:
            os.close(handle)
        if is_preallocated:
            _populate(segment.map)
    _write_header(segment, header)
    return segment


def _write_header(segment: Segment, header: bytes) -> None:
    write_record(segment.map, 0, HEADER, segment.number, header)
    segment.first = segment.end = record_size(len(header))


def _populate(memory: mmap.mmap) -> None:
    """Load the pages of a file where the system can; otherwise the first write to each page waits for it."""
    if sys.platform != "linux":
        return
    for begin in range(0, len(memory), POPULATE_BYTES):
        try:
            memory.madvise(POPULATE_WRITE, begin, min(POPULATE_BYTES, len(memory) - begin))
        except OSError:  # an older kernel, or no memory to spare
            return
        sleep(0)  # let training run in between


def allocate(handle: int, size: int) -> None:
    """Allocate all blocks of a file. Raises OSError when the disk has too few."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    zeros = bytes(1_048_576)  # macOS has no posix_fallocate
    for begin in range(0, size, len(zeros)):
        os.pwrite(handle, zeros[: size - begin], begin)


def numbers_in(folder: str) -> list[int]:
    """Return the numbers of the segments in a folder, in order."""
    return sorted(int(name[: -len(SUFFIX)]) for name in os.listdir(folder) if is_segment(name))


def is_segment(name: str) -> bool:
    """Return whether a file has the name of a segment: eight digits or more."""
    stem = name.removesuffix(SUFFIX)
    return stem != name and len(stem) >= 8 and stem.isascii() and stem.isdecimal()


def remove(path: str) -> None:
    """Delete a file if it exists and can be deleted."""
    try:
        os.unlink(path)
    except OSError:
        return  # already deleted, or not permitted: nothing depends on it
