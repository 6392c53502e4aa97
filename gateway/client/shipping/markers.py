"""
Tell those who wait for a position of a journal that everything before it is acknowledged.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.journal.entries import Marker
    from gateway.client.journal.readable import JournalPosition


def set_markers(markers: list[Marker], reached: JournalPosition) -> None:
    """Set, and forget, the markers up to this position."""
    for marker in [marker for marker in list(markers) if marker.position <= reached]:
        markers.remove(marker)
        marker.reached.set()
