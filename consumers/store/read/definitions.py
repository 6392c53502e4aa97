"""
Read what code says of metrics, within one snapshot of the store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.statements import sql
from schemas.api.metric_definitions import CommonDefinition, MetricDefinition
from schemas.metric_definitions import MANY, DefinitionFinder
from schemas.names import series_name

NAMES_AT_ONCE = 200  # of definitions of several runs
VARIANTS = 100  # of one name
GOALS = 1_000  # definitions of a run whose goals are looked at
BEST_VALUES = 100  # of a run in a list


class DefinitionsFound(NamedTuple):
    """A page of the definitions of a run."""

    definitions: list[MetricDefinition]
    next_page_token: str | None


class CommonDefinitionsFound(NamedTuple):
    """A page of the definitions of several runs."""

    definitions: list[CommonDefinition]
    next_page_token: str | None


class DefinitionsReader:
    """Queries about definitions of metrics on the connection of one snapshot."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    async def of_run(self, run_id: str, *, limit: int, page_token: str | None = None) -> DefinitionsFound | None:
        """Return up to `limit` definitions of a run, by name, after that of the token; None: there is no such run."""
        if not await self._connection.fetchval(sql("run_is_known"), run_id):
            return None
        rows = await self._connection.fetch(sql("page_metric_definitions"), run_id, page_token, limit + 1)
        found = [MetricDefinition(**row) for row in rows[:limit]]
        return DefinitionsFound(found, found[-1].name if len(rows) > limit else None)

    async def common(
        self, run_ids: Sequence[str] | None, experiment_id: str | None, page_token: str | None = None
    ) -> CommonDefinitionsFound:
        """
        Return the definitions of these runs, or of those of an experiment, equal ones once.

        A page has NAMES_AT_ONCE names after that of the token, and of each the VARIANTS most common definitions.
        """
        rows = await self._connection.fetch(
            sql("common_metric_definitions"), None if run_ids is None else list(set(run_ids)), experiment_id,
            page_token, NAMES_AT_ONCE + 1, VARIANTS, run_ids is not None,
        )  # fmt: skip
        names = list(dict.fromkeys(row["name"] for row in rows))[:NAMES_AT_ONCE]
        shown = set(names)
        is_last = all(row["name"] in shown for row in rows)
        found = [CommonDefinition(**row) for row in rows if row["name"] in shown]
        return CommonDefinitionsFound(found, None if is_last else names[-1])

    async def best(self, run_ids: Sequence[str], limit: int = BEST_VALUES) -> dict[str, dict[str, float]]:
        """
        Return the best values of metrics with a goal: by run, and by written name, of at most `limit` series each.

        They are the lowest or highest finite values over all attempts.
        """
        goals: dict[str, dict[str, str]] = {}
        for row in await self._connection.fetch(sql("goals_of_runs"), list(run_ids), GOALS):
            goals.setdefault(row["run_id"], {})[row["name"]] = row["goal"]
        wanted = {run_id: _patterns(of_run) for run_id, of_run in goals.items() if any(of_run.values())}
        if not wanted:
            return {}
        rows = await self._connection.fetch(sql("lowest_and_highest"), list(wanted), list(wanted.values()), limit)
        finders = {run_id: DefinitionFinder(goals[run_id]) for run_id in wanted}
        found: dict[str, dict[str, float]] = {run_id: {} for run_id in wanted}
        for row in rows:
            written = series_name(row["name"], row["labels"], row["step_name"])
            name = finders[row["run_id"]].find(written)
            goal = "" if name is None else goals[row["run_id"]][name]
            value = row["lowest"] if goal == "min" else row["highest"]
            if goal and value is not None:
                found[row["run_id"]][written] = value
        return found


def _patterns(goals: Mapping[str, str]) -> str:
    """Return patterns of LIKE that fit what the definitions with a goal fit, as a JSON array."""
    escaped = [re.sub(r"([\\%_])", r"\\\1", name) for name, goal in goals.items() if goal]
    return json.dumps([text.replace(MANY, "%") for text in escaped])
