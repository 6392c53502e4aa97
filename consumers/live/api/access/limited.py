"""
What tokens that are limited to experiments get of the stream.

Whether a run is visible is asked of the store once it has folded the log up to the message, so the decision is that of
the run's experiment at that point of the log. It is remembered for as long as the run is not moved.
"""

from __future__ import annotations

from collections import OrderedDict

from fastapi import Request

from consumers.live.api.connections import Connections, connections_of
from consumers.live.api.consistency import until_folded
from consumers.live.stream.messages import Message
from schemas.runtime.access.identity import identity_of

MAX_KNOWN = 10_000  # runs that a stream remembers
FOLDED_S = 10.0  # the longest wait for the fold; after it the stream ends, and its reader continues where it was
_MAY_MOVE = ("run_created", "run_started", "run_resumed", "moved")


class Visible:
    """Which messages the reader of one stream may see."""

    def __init__(self, request: Request) -> None:
        self._connections: Connections | None = None
        if identity_of(request.scope).experiments is not None:
            self._connections = connections_of(request)
        self._known: OrderedDict[str, bool] = OrderedDict()

    async def of(self, messages: list[Message]) -> list[Message]:
        """Return those of these messages that may be seen. Raises Failure while the fold is too far behind."""
        if self._connections is None:
            return messages
        return [one for one in messages if await self._shows(self._connections, one)]

    async def _shows(self, connections: Connections, message: Message) -> bool:
        known = self._known.get(message.run_id)
        if known is not None and message.envelope.event.kind not in _MAY_MOVE:
            return known
        await until_folded(connections, f"{message.partition}:{message.offset + 1}", FOLDED_S)
        async with connections.store().snapshot() as now:
            known = bool(await now.summaries([message.run_id]))
        self._known[message.run_id] = known
        self._known.move_to_end(message.run_id)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return known
