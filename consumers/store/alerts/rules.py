"""
The rules of the collection `alert_rules`, as the materialiser has decided, and the names of experiments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from consumers.store.pool import Database
from consumers.store.statements import sql


class StoredRule(NamedTuple):
    """The newest version of a rule that is not deleted."""

    rule_id: str
    version: int
    name: str
    body: dict[str, Any]
    enabled: bool
    saved: int  # µs
    description: str


class AlertRules:
    """Reads rules. Every method raises StoreUnavailable while PostgreSQL is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stamp(self) -> str:
        """Return a text that is another one after every change of a rule."""
        async with self._database.acquire() as connection:
            return str(await connection.fetchval(sql("rules_stamp")))

    async def load(self) -> list[StoredRule]:
        """Return all rules, by id."""
        async with self._database.acquire() as connection:
            return [StoredRule(*row.values()) for row in await connection.fetch(sql("load_alert_rules"))]

    async def experiments(self) -> dict[str, str]:
        """Return the names of all experiments, by id."""
        async with self._database.acquire() as connection:
            return {row["experiment_id"]: row["name"] for row in await connection.fetch(sql("all_experiment_names"))}
