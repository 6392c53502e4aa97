"""
Allocate the segments of one journal within its bound, and the next one ahead of time.

Making a segment takes milliseconds. So once the current segment is half full, the shipper's thread makes the next one
(`preallocate`, `store_preallocated`), and the emitting thread only renames it (`allocate`).
"""

from __future__ import annotations

from time import monotonic

from gateway.client.journal import segment as segments
from gateway.client.journal.folder import max_bytes
from gateway.client.notices import warn_once
from gateway.client.process.forks import importing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.segment import Segment

MEMORY_BYTES = 134_217_728  # bound of a journal in memory
RETRY_S = 1.0  # between two attempts to make a segment


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

    def allocate(self, number: int, need: int) -> Segment | None:
        """Return a new segment for records of any kind; None when there is no room, or was none a moment ago."""
        ready = self._take_preallocated(number, need)
        if ready is not None:
            return ready
        now = monotonic()
        if now - self._failed_at < RETRY_S:
            return None
        try:
            return self.create(number, need)
        except OSError as error:
            self._failed_at = now
            _warn_full(self._run_id, self.folder, error)
            return None

    def create(self, number: int, need: int, *, is_preallocated: bool = False) -> Segment:
        """Return a new segment for records of any kind. Raises OSError when there is no room for it."""
        size = segments.size_of(number, need + segments.reserve_of(number), len(self.header))
        if self.size + size > self._bound():
            raise OSError(f"its bound of {self._bound() / 1_048_576:,.0f} MB is reached")
        return segments.create(self.folder, number, size, self.header, is_preallocated=is_preallocated)

    def allocate_reserve(self, number: int, need: int) -> Segment:
        """Return a small segment for events alone, beyond the bound; in memory when the disk is full."""
        size = segments.size_of(1, need, len(self.header))
        try:
            return segments.create(self.folder, number, size, self.header)
        except OSError:
            return segments.create("", number, size, self.header)

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
        if made.number == number and made.first + need + segments.reserve_of(number) <= made.size:
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


def _warn_full(run_id: str, folder: str, error: OSError) -> None:
    warn_once(
        "full",
        f"run {run_id}: the journal {folder or 'in memory'} cannot grow ({error}): new metric points are dropped and "
        "counted until there is room: free disk, or raise GATEWAY_JOURNAL_MAX_MB",
    )
