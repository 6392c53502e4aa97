"""
The outbox: messages that were stored with what caused them, and are sent by a worker for each target.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from consumers.store.pool import Database
from consumers.store.statements import sql

MAX_ERROR = 500  # characters


class Message(NamedTuple):
    """One message to one target, with the alert it is about."""

    number: int
    delivery_id: UUID
    event: str  # fired, resolved
    attempts: int
    created: datetime
    alert_id: UUID
    rule_id: str
    version: int
    name: str
    severity: str
    run_id: str
    series: str
    fired: int  # µs
    resolved: int | None
    step: int | None
    value: float | None
    message: str
    resolution: str


class Queued(NamedTuple):
    """How many messages of a target are in a state."""

    target: str
    state: str
    messages: int
    error: str | None


class Outbox:
    """The messages. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, target: str, limit: int) -> list[Message]:
        """Return the next messages to a target that are due, oldest first."""
        async with self._database.acquire() as connection:
            return [Message(*row.values()) for row in await connection.fetch(sql("waiting_messages"), target, limit)]

    async def sent(self, number: int) -> None:
        """Record that a target took a message."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("message_sent"), number)

    async def failed(self, number: int, error: str, again_in_s: float | None) -> None:
        """Record that a target did not take a message; it is tried again after so long, or given up for None."""
        text = error[:MAX_ERROR].replace("\x00", "\ufffd").encode(errors="replace").decode()
        async with self._database.acquire() as connection:
            await connection.execute(sql("message_failed"), number, text, again_in_s)

    async def refuse_unknown(self, targets: Sequence[str]) -> None:
        """Give up messages to other targets than these."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("refuse_unknown_targets"), list(targets))

    async def shorten(self, days: float) -> None:
        """Forget old messages that nothing will become of, alerts resolved `days` ago (0: none), and past mutes."""
        async with self._database.acquire() as connection:
            await connection.execute(sql("shorten_outbox"))
            await connection.execute(sql("shorten_mutes"))
            if days:
                await connection.execute(sql("shorten_alerts"), days)

    async def counts(self) -> list[Queued]:
        """Return how many messages there are, by target and state."""
        async with self._database.acquire() as connection:
            return [Queued(*row.values()) for row in await connection.fetch(sql("count_outbox"))]
