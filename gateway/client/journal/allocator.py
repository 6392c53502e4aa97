"""
Where the segments of one journal come from: within its bound, the next one made ahead.

To make a segment takes milliseconds. So the shipper has the next one made (`ahead`, `keep`) once the current one is
half full, and whoever emits only gives it its name (`ordinary`).
"""

from __future__ import annotations

from time import monotonic

from gateway.client.journal import segment as segments
from gateway.client.journal.entries import warn_full
from gateway.client.journal.folder import max_bytes
from gateway.client.process.forks import importing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.segment import Segment

MEMORY_BYTES = 134_217_728  # of a journal in memory
RETRY_S = 1.0  # between two tries to get a segment


class SegmentAllocator:
    """The room a journal has. All but `ahead` with the journal's lock held."""

    __slots__ = ("_failed_at", "_max_bytes", "_next", "_not_before", "_run_id", "folder", "header", "size")

    def __init__(self, run_id: str, limit: int | None) -> None:
        self.folder = ""  # "": in memory
        self.header = b""  # what each segment says of the journal
        self.size = 0  # bytes of all segments, the next one too
        self._run_id = run_id
        self._max_bytes = limit
        self._failed_at = -RETRY_S
        self._next: Segment | None = None  # made ahead
        self._not_before = 0.0  # when the next may be tried, monotonic

    def ordinary(self, number: int, need: int) -> Segment | None:
        """Return a new segment for everything, or None: there is no room, or there was none a moment ago."""
        ready = self._take_next(number, need)
        if ready is not None:
            return ready
        now = monotonic()
        if now - self._failed_at < RETRY_S:
            return None
        try:
            return self.make(number, need)
        except OSError as error:
            self._failed_at = now
            warn_full(self._run_id, self.folder, error)
            return None

    def make(self, number: int, need: int, *, is_ahead: bool = False) -> Segment:
        """Return a new segment for everything. Raises OSError when there is no room for it."""
        size = segments.size_of(number, need + segments.reserve_of(number), len(self.header))
        if self.size + size > self._bound():
            raise OSError(f"its bound of {self._bound() / 1_048_576:,.0f} MB is reached")
        return segments.create(self.folder, number, size, self.header, is_ahead=is_ahead)

    def reserve(self, number: int, need: int) -> Segment:
        """Return a small segment for events alone, beyond the bound; in memory when the disk is full."""
        size = segments.size_of(1, need, len(self.header))
        try:
            return segments.create(self.folder, number, size, self.header)
        except OSError:
            return segments.create("", number, size, self.header)

    def wants_next(self, current: Segment, end: int) -> bool:
        """Whether the segment after this one, written up to `end`, is to be made."""
        return self._next is None and bool(current.path) and end * 2 >= current.size and monotonic() >= self._not_before

    def ahead(self, number: int) -> Segment | None:
        """Return a segment to be kept; None when there is no room: whoever needs it tries again, and says why."""
        try:
            with importing():  # a child of a fork must not keep the file open
                return self.make(number, 0, is_ahead=True)
        except OSError:
            self._not_before = monotonic() + RETRY_S
            return None

    def keep(self, made: Segment) -> None:
        """Have this segment ready."""
        self._next = made
        self.size += made.size

    def drop_next(self) -> None:
        """Delete what was made ahead: nothing more will be written."""
        self._take_next(0, 0)

    def _take_next(self, number: int, need: int) -> Segment | None:
        """Return the segment that was made ahead when it is the one that is needed; else delete it."""
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
