"""
Reads of someone who sees only some experiments.

The limit is in one place: each statement of such a snapshot begins with common table expressions that have the names of
the tables and only the rows of visible runs (sql/limited.sql). So a statement that is written later is limited, too. A
test compares PARTS with the tables that have a run_id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from consumers.store.pool import PooledConnection
from consumers.store.statements import sql

PARTS = (
    "alert_mutes", "alert_runs", "alert_series", "alerts",
    "artifacts", "attempts", "code_identities", "console_lines", "deliveries", "deliveries_history",
    "deliveries_history_rows", "edits", "logged_model_points", "metric_definitions", "model_versions",
    "observations", "params", "producers", "run_labels", "run_partitions", "series", "steps", "tags",
)  # fmt: skip
OWN = ("runs", "experiments", "dead_letters")  # tables with a statement of their own: how they name a run differs
_COMMENT = re.compile(r"\A(?:\s|--[^\n]*(?:\n|\Z))*")
_WITH = re.compile(r"with\b\s*(recursive\b)?", re.IGNORECASE)


class LimitedConnection:
    """A connection in a transaction that `limit` has prepared; it has the methods with which readers ask."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    async def limit(self, experiments: Sequence[str]) -> None:
        """Limit the transaction to experiments with these names."""
        await self._connection.execute(sql("limit_to_experiments"), list(experiments))

    async def fetch(self, statement: str, *parameters: Any) -> list[Any]:
        """Return the rows."""
        return list(await self._connection.fetch(limited(statement), *parameters))

    async def fetchrow(self, statement: str, *parameters: Any) -> Any:
        """Return the first row, None without any."""
        return await self._connection.fetchrow(limited(statement), *parameters)

    async def fetchval(self, statement: str, *parameters: Any) -> Any:
        """Return the first value of the first row."""
        return await self._connection.fetchval(limited(statement), *parameters)

    def cursor(self, statement: str, *parameters: Any, **options: Any) -> Any:
        """Return a cursor."""
        return self._connection.cursor(limited(statement), *parameters, **options)

    async def execute(self, statement: str, *parameters: Any) -> None:
        """Run a statement without an answer, such as one that plans or locks."""
        await self._connection.execute(statement, *parameters)


@lru_cache(maxsize=2_000)
def limited(statement: str) -> str:
    """Return a statement that sees only visible runs. It may be a SELECT, with or without WITH."""
    text = _COMMENT.sub("", statement).rstrip().rstrip(";")
    words = set(re.findall(r"[a-z_]+", text))
    tables = ["runs", *(one for one in (*OWN[1:], *PARTS) if one in words)]
    parts = [sql(f"limited_{one}" if one in OWN else "limited_part").replace(":table", one) for one in tables]
    own = _WITH.match(text)
    if own is None:
        return f"WITH {', '.join(parts)} {text}"
    if own[1]:  # in a recursive WITH the names would mean themselves
        return f"WITH {', '.join(parts)} SELECT * FROM ({text}) AS found"
    return f"WITH {', '.join(parts)}, {text[own.end() :]}"
