"""
What the topics of a stream have in common.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from consumers.live.stream.positions import write_positions

MAX_MISSED = 20_000  # records that a stream catches up with; beyond that its reader reads again


class Event(NamedTuple):
    """One event for a reader. Those of one `take` are sent together; the position belongs to the last."""

    name: str
    data: bytes


class Begin(NamedTuple):
    """Where a topic that follows the log begins."""

    positions: Mapping[int, int]
    lost: str = ""  # why it cannot go on from where its reader was; its reader reads again


class Failed(Exception):
    """A topic that cannot go on, with the reason for its reader."""


class Feed(Protocol):
    """One topic of one reader. `wake` is set when there is news."""

    topic: str
    wake: asyncio.Event

    @property
    def is_closed(self) -> bool:
        """Whether the stream ends, because the server stops or the log is another one."""

    @property
    def token(self) -> str:
        """Where to go on after what was taken."""

    def catch_up(self) -> AsyncGenerator[Sequence[Event], None]:
        """Yield what the reader missed, in parts, [] for a sign of life; then `take` has what follows."""

    async def take(self) -> Sequence[Event]:
        """Return what is new, and move the position past it. Raises Failed."""

    def close(self) -> None:
        """End it."""


def reset(topic: str, reason: str, as_of: Mapping[int, int]) -> Event:
    """Return the event that tells a reader to read again."""
    return event("reset", {"topic": topic, "reason": reason, "as_of": write_positions(as_of)})


def event(name: str, document: Mapping[str, Any]) -> Event:
    """Return an event with a JSON object."""
    return Event(name, orjson.dumps(document))
