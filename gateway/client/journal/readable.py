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
        """What a producer needs of a journal, whether this process writes it or a dead process left it."""

        run_id: str
        is_trusted: bool
        segments: dict[int, Segment]
        markers: list[Marker]

        @property
        def dropped(self) -> int:
            """Points and values dropped so far."""

        @property
        def cursor(self) -> ShippingCursor | None:
            """What is cut and what is acknowledged; None before the first record."""

        def tail(self) -> JournalPosition:
            """Return segment and offset of the end. Everything before is written."""

        def prepare(self) -> None:
            """Prepare the next segment when it will soon be needed."""

        def record_cut(self, boundary: BatchBoundary, points: int, *, is_last: bool = False) -> None:
            """
            Write down a cut, and the number of metric points up to its end. `is_last`: it has the producer's end.

            Raises Withdrawn when another process cuts the journal now.
            """

        def pass_over(self, position: JournalPosition) -> None:
            """Write down that nothing has to be cut before this position."""

        def acknowledge(
            self, seq: int, cuts: int, position: JournalPosition | None, points: int = 0, values: int = 0
        ) -> None:
            """
            Write down that the log has `cuts` more cuts, `points` and `values` more, all records below `seq`.

            Segments before `position` are deleted.
            """

        def count_lost(self, count: int) -> None:
            """Count points or values in the journal that will never be sent."""

        def remove(self) -> None:
            """Delete the journal. All of it is acknowledged."""


class Withdrawn(Exception):
    """Another process cuts this journal now: the owner has taken it back, or somebody recovers it."""
