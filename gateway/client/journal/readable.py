"""
The interface between a journal and the producer that ships it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from gateway.client.journal.cursor import BatchBoundary, ShippingCursor
    from gateway.client.journal.entries import Marker
    from gateway.client.journal.segment import Segment

    JournalPosition = tuple[int, int]  # segment and offset

    class ReadableJournal(Protocol):
        """What a producer needs of a journal: one that is written here, or one that somebody left."""

        run_id: str
        is_trusted: bool
        dropped: int
        segments: dict[int, Segment]
        markers: list[Marker]
        cuts: ShippingCursor | None

        def tail(self) -> JournalPosition:
            """Return segment and offset of the end: everything before is written."""

        def prepare(self) -> None:
            """Make what will be written next ready, when it is time."""

        def record(self, cut: BatchBoundary, points: int) -> None:
            """Write down a cut, and how many metric points there are with it."""

        def acknowledge(self, seq: int, cuts: int, place: JournalPosition | None) -> None:
            """Write down that the log has `cuts` more cuts, all records below `seq`; delete what is before `place`."""

        def lose(self, count: int) -> None:
            """Count points or values that will never be sent."""

        def remove(self) -> None:
            """Delete the journal: all of it is acknowledged."""
