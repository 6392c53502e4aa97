"""
Firings for people: a list, newest first, and mutes.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from consumers.store.pool import PooledConnection
from consumers.store.statements import sql
from schemas.api.alerts import AlertDocument, AlertsPage
from schemas.columns import float_to_json

State = Literal["firing", "resolved", "all"]
_RESOLVED: dict[State, bool | None] = {"firing": False, "resolved": True, "all": None}


class FiringQuestion(NamedTuple):
    """Which firings are wanted."""

    state: State = "all"
    run_id: str | None = None
    rule_id: str | None = None
    since: int | None = None  # µs
    limit: int = 100
    page_token: str | None = None


class AlertChange(NamedTuple):
    """A firing that began, or was resolved; numbers grow in the order in which that became visible."""

    number: int
    alert: AlertDocument


class Mute(NamedTuple):
    """A rule whose firings are stored and not sent; `run_id` "": of every run; `until` None: without end."""

    rule_id: str
    run_id: str
    until: datetime | None


class FiringsReader:
    """Queries about firings on a connection."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    async def page(self, asked: FiringQuestion) -> AlertsPage:
        """Return a page of firings without its `as_of`. Raises ValueError for a page token that is not ours."""
        after = (None, None) if asked.page_token is None else _position(asked.page_token)
        narrowed = _RESOLVED[asked.state], asked.run_id, asked.rule_id, asked.since
        rows = await self._connection.fetch(sql("list_alerts"), *narrowed, *after, asked.limit + 1)
        found = [_document(dict(row)) for row in rows[: asked.limit]]
        last = rows[asked.limit - 1] if len(rows) > asked.limit else None
        token = None if last is None else _token(last["fired"], last["alert_id"])
        return AlertsPage(alerts=found, next_page_token=token, as_of="")

    async def changes(self, after: int, limit: int) -> list[AlertChange]:
        """Return firings as they are now, in the order of their last changes, after the change with this number."""
        rows = await self._connection.fetch(sql("changed_alerts"), after, limit)
        found = [dict(row) for row in rows]
        return [AlertChange(row.pop("changed"), _document(row)) for row in found]

    async def newest_change(self) -> int:
        """Return the number of the newest change, 0 without any."""
        return int(await self._connection.fetchval(sql("newest_alert_change")))

    async def counts(self) -> dict[str, int]:
        """Return how many firings each rule has that are not resolved."""
        return {row["rule_id"]: row["firing"] for row in await self._connection.fetch(sql("count_firing"))}

    async def mutes(self) -> list[Mute]:
        """Return the mutes that are in force."""
        return [Mute(*row.values()) for row in await self._connection.fetch(sql("list_mutes"))]


async def mute(connection: PooledConnection, rule_id: str, run_id: str, seconds: float | None) -> None:
    """Store firings of a rule without sending them, for so long, or until `unmute` for None."""
    await connection.execute(sql("mute_alerts"), rule_id, run_id, seconds)


async def unmute(connection: PooledConnection, rule_id: str, run_id: str | None) -> int:
    """Send firings of a rule again, of one run or (None) of all; return how many mutes that ended."""
    return len(await connection.fetch(sql("unmute_alerts"), rule_id, run_id))


def _document(row: dict[str, Any]) -> AlertDocument:
    value = None if row["value"] is None else float_to_json(row["value"])
    state: Literal["firing", "resolved"] = "firing" if row["resolved"] is None else "resolved"
    return AlertDocument(**{**row, "alert_id": str(row["alert_id"]), "value": value}, state=state)


def _token(fired: int, alert_id: UUID) -> str:
    return base64.urlsafe_b64encode(fired.to_bytes(8, "big", signed=True) + alert_id.bytes).decode().rstrip("=")


def _position(token: str) -> tuple[int, UUID]:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return int.from_bytes(raw[:8], "big", signed=True), UUID(bytes=raw[8:])
    except ValueError:
        raise ValueError("it is none of this list: pass the next_page_token of the page before") from None
