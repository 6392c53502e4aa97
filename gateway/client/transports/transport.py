"""
The interface of a transport: a way out of a training process.

A transport is used by the shipper alone, in the shipper's own event loop.
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
        A way to the log.

        `send` returns when every record is acknowledged, and keeps the order of records with the same key. It raises
        errors.Unsent when some may not have arrived; the shipper then closes it, opens a new one and sends the same
        records again, so a record may arrive twice, always with the same identity and bytes.

        A record that will never be taken must not hold up the others for ever: `send` leaves it out and returns it as
        a Refusal, in the order of the records. Nothing (None or nothing in it) means that all are acknowledged.
        """

        async def open(self) -> None:
            """Connect. Raises Unsent when that cannot be done now."""

        async def send(self, records: Sequence[Record]) -> Sequence[Refusal] | None:
            """Return when the records are acknowledged or refused for good. Raises Unsent."""

        async def close(self) -> None:
            """Let go of connections, soon, whatever state they are in."""


class Refusal(namedtuple("Refusal", "number reason")):
    """A record of one `send`, by its place from 0, that the other end will never take, and why."""

    __slots__ = ()
