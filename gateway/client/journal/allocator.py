"""
Allocate the segments of one journal within its bound, and the next one ahead of time.

Making a segment takes milliseconds. So once the current segment is half full, the shipper's thread makes the next one
(`preallocate`, `store_preallocated`), and the emitting thread only renames it (`allocate`).

The bound is on what is not acknowledged. Where the bound or the free disk is small, segments are small too, so that
several fit and each is deleted as soon as it is acknowledged. When none fits any more, a current segment that is
acknowledged to its end is cleared and used again.
"""

from __future__ import annotations

import os
from errno import EDQUOT, EFBIG, ENOSPC
from time import monotonic

from gateway.client.journal import segment as segments
from gateway.client.journal.folder import max_bytes
from gateway.client.journal.format import record_size
from gateway.client.notices import warn_once
from gateway.client.process.forks import importing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.client.journal.segment import Segment

MEMORY_BYTES = 134_217_728  # bound of a journal in memory
RETRY_S = 1.0  # between two attempts to make a segment, unless an acknowledgement makes room
BOUND_SHARE = 8  # a segment takes this part of the bound at most
DISK_SHARE = 4  # ... and of the free disk
FULL = (ENOSPC, EDQUOT, EFBIG)


class SegmentAllocator:
    """The segments and bytes a journal may use. All methods but `preallocate` need the journal's lock."""

    __slots__ = ("_failed_at", "_max_bytes", "_next", "_not_before", "_run_id", "folder", "header", "size")

    def __init__(self, run_id: str, limit: int | None) -> None:
        self.folder = ""  # "": in memory
        self.header = b""  # payload of the header of each segment
        self.size = 0  # bytes of all segments, the preallocated one included
        self._run_id = run_id
        self._max_bytes = limit
        self._failed_at = -RETRY_S
        self._next: Segment | None = None  # preallocated
        self._not_before = 0.0  # no preallocation before this time, monotonic

    def allocate(
        self, number: int, need: int, *, spent: tuple[Segment, int] | None, restore: Callable[[], None]
    ) -> Segment | None:
        """
        Return a new segment for records of any kind; None when there is no room, or was none a moment ago.

        `spent` is the current segment with its used bytes if all of it is acknowledged. `restore` creates the folder
        again if it was deleted, and raises OSError if that is not possible.
        """
        ready = self._take_preallocated(number, need)
        if ready is not None:
            return ready
        now = monotonic()
        if now - self._failed_at < RETRY_S:
            return None
        try:
            try:
                return self.create(number, need)
            except (FileNotFoundError, NotADirectoryError):
                restore()
                return self.create(number, need)
        except OSError as error:
            if (again := self._reuse(number, need, spent)) is not None:
                return again
            self._failed_at = now
            _warn_full(self._run_id, self.folder, error)
            return None

    def create(self, number: int, need: int, *, is_preallocated: bool = False) -> Segment:
        """Return a new segment for records of any kind. Raises OSError when there is no room for it."""
        bound, wanted = self._bound(), segments.SIZES[min(max(number, 1), len(segments.SIZES)) - 1]
        shares = [bound // BOUND_SHARE, *([_free_bytes(self.folder) // DISK_SHARE] if self.folder else [])]
        least = min(wanted, segments.SMALLEST)
        wanted = max(least, min(wanted, *shares) // segments.PAGE * segments.PAGE)
        while True:
            size, reserve = segments.size_of(wanted, need, len(self.header)), segments.reserve_of(wanted)
            full = OSError(f"its bound of {bound / 1_048_576:,.0f} MB is reached")
            if self.size + size <= bound:
                try:
                    return self._create(number, size, reserve=reserve, is_preallocated=is_preallocated)
                except OSError as error:
                    if error.errno not in FULL:
                        raise
                    full = error
            if wanted // 2 < least:
                raise full
            wanted //= 2

    def retry(self) -> None:
        """Make the next attempt at once: an acknowledgement has made room."""
        self._failed_at = -RETRY_S

    def _reuse(self, number: int, need: int, spent: tuple[Segment, int] | None) -> Segment | None:
        """Return the current segment as the next one, if it is acknowledged to its end and large enough."""
        if spent is None or record_size(len(self.header)) + need > spent[0].points_end:
            return None
        try:
            return spent[0].reuse(number, spent[1], self.header)
        except OSError:
            return None

    def allocate_reserve(self, number: int, need: int) -> Segment:
        """Return a small segment for events alone, beyond the bound; in memory when the disk is full."""
        size = segments.size_of(segments.SIZES[0], need, len(self.header))
        try:
            return self._create(number, size)
        except OSError:
            return segments.create("", number, size, self.header)

    def _create(self, number: int, size: int, *, reserve: int = 0, is_preallocated: bool = False) -> Segment:
        try:
            return segments.create(
                self.folder, number, size, self.header, reserve=reserve, is_preallocated=is_preallocated
            )
        except FileExistsError as error:
            if is_preallocated:  # it is getting its name at this moment
                raise
            # Only this process writes here, and the journal lacks this segment: Ctrl-C came while it was made.
            segments.remove(str(error.filename))
            return segments.create(self.folder, number, size, self.header, reserve=reserve)

    def needs_next(self, current: Segment, end: int) -> bool:
        """Return whether to preallocate the segment after `current`, which is written up to `end`."""
        return self._next is None and bool(current.path) and end * 2 >= current.size and monotonic() >= self._not_before

    def preallocate(self, number: int) -> Segment | None:
        """Return a segment for `store_preallocated`; None without room: `allocate` then tries again and warns."""
        try:
            with importing():  # a forked child must not keep the file open
                return self.create(number, 0, is_preallocated=True)
        except OSError:
            self._not_before = monotonic() + RETRY_S
            return None

    def store_preallocated(self, made: Segment) -> None:
        """Keep a preallocated segment until it is needed."""
        self._next = made
        self.size += made.size

    def discard_preallocated(self) -> None:
        """Delete the preallocated segment: nothing more will be written."""
        self._take_preallocated(0, 0)

    def _take_preallocated(self, number: int, need: int) -> Segment | None:
        """Return the preallocated segment when it has this number and enough room; otherwise delete it."""
        made, self._next = self._next, None
        if made is None:
            return None
        self.size -= made.size  # counted again when it is in use
        if made.number == number and made.first + need <= made.points_end:
            try:
                made.publish()
            except OSError:
                made.delete()
                return None
            return made
        made.delete()
        return None

    def _bound(self) -> int:
        if self._max_bytes is None:
            self._max_bytes = max_bytes()
        return self._max_bytes if self.folder else min(self._max_bytes, MEMORY_BYTES)


def _free_bytes(folder: str) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _warn_full(run_id: str, folder: str, error: OSError) -> None:
    if error.errno in FULL or error.errno is None:
        step = "until there is room: free disk, or raise GATEWAY_JOURNAL_MAX_MB"
    else:
        step = "until it can be written: make the folder writable, or point GATEWAY_JOURNAL_DIR to one that is"
    warn_once(
        "full",
        f"run {run_id}: the journal {folder or 'in memory'} cannot grow ({error}): new metric points are dropped and "
        f"counted, like console lines, system metrics and notes, {step}",
    )
