"""
The interface of a transport, which takes records from a training process to the log.

Only the shipper uses a transport, in its own event loop.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from gateway.client.encoding.wire import Record

    class Transport(Protocol):
        """
        A connection to the log.

        `send` returns once every record is acknowledged, and keeps the order of records with the same key. It raises
        errors.Unsent when some may not have arrived. The shipper then closes the transport, opens a new one and sends
        the same records again, so a record may arrive twice, always with the same identity and bytes.

        A record that will never be accepted must not block the others for ever: `send` leaves it out and returns it as
        a Refusal, in the order of the records. None, or no refusals, means that all records are acknowledged.
        """

        async def open(self) -> None:
            """Connect. Raises Unsent when that is not possible now."""

        async def send(self, records: Sequence[Record]) -> Sequence[Refusal] | None:
            """Return when the records are acknowledged or refused for good. Raises Unsent."""

        async def close(self) -> None:
            """Close all connections soon, whatever their state."""


class Refusal(namedtuple("Refusal", "number reason")):
    """A record of one `send`, by its index from 0, that the other end will never take, and the reason."""

    __slots__ = ()
