"""
Run documents: which runs a search finds, and everything about runs but their points, with few statements for many.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import orjson

from consumers.store.pool import PooledConnection
from consumers.store.read.documents import plain
from consumers.store.search.filter_terms import Node, Order
from consumers.store.search.ordered_search import InExperiments, InStage, OrderedSearch, label_values
from consumers.store.search.page_token import KeysPosition, read_keys_token, write_keys_token
from consumers.store.search.sql_builder import filled
from consumers.store.statements import sql
from schemas.api import RunDocument
from schemas.columns import float_to_json
from schemas.names import series_name

DOCUMENTS_AT_ONCE = 100
FIRST_DOCUMENTS = 20  # at once, until it is known how large they are
BYTES_AT_ONCE = 8 * 1024 * 1024  # of documents; rows of one take about ten times as much memory
_FACTS = [name for name in RunDocument.model_fields if name not in ("params", "tags", "labels", "metrics")]


class RunsWanted(NamedTuple):
    """A search in the order of several keys."""

    filter: Node
    stage: str | None  # active or deleted, as runs of a deleted experiment are; None: all
    experiment_ids: tuple[str, ...] | None  # None: in all; "" among them: of no registered experiment, too
    orders: tuple[Order, ...]


class OrderedRuns(NamedTuple):
    """Which runs are on a page of such a search, in order."""

    places: list[KeysPosition]
    is_last: bool
    wanted: RunsWanted

    def token_after(self, count: int) -> str | None:
        """Return the token of the page after the first `count` runs; None if no run follows."""
        if self.is_last and count == len(self.places):
            return None
        return write_keys_token(self.places[count - 1], *self.wanted)


class RunDocuments:
    """Queries for run documents within one snapshot. One at a time."""

    def __init__(self, connection: PooledConnection, lost_after_s: float) -> None:
        self._connection, self._lost_after_s = connection, lost_after_s

    async def find(self, wanted: RunsWanted, *, limit: int, page_token: str | None, offset: int = 0) -> OrderedRuns:
        """Return which runs are on a page of a search, after `offset` others. Raises TokenError."""
        kinds = [order.key.kind for order in wanted.orders]
        after = None if page_token is None else read_keys_token(page_token, kinds, *wanted)
        search = await self.search(wanted)
        await self._connection.execute(sql("plan_search"))
        places = list[KeysPosition]()
        first = 0 if after is None else len(list(takewhile(lambda place: place[0] == 2, after.places)))
        is_nan = after is not None and any(rank == 1 for rank, _ in after.places[: first + 1])
        for lacking in range(first, 0 if offset or is_nan else search.stages):
            if len(places) <= limit:
                begin = after if lacking == first else None
                places += await self._places(search, limit=limit + 1 - len(places), after=begin, lacking=lacking)
        if len(places) <= limit:
            begin = places[-1] if places else after
            places += await self._places(search, limit=limit + 1 - len(places), after=begin, offset=offset)
        return OrderedRuns(places[:limit], len(places) <= limit, wanted)

    async def _places(self, search: OrderedSearch, **which: Any) -> list[KeysPosition]:
        query = search.query(lost_after_s=self._lost_after_s, **which)
        return [search.position(row) for row in await self._connection.fetch(query.statement, *query.parameters)]

    async def search(self, wanted: RunsWanted) -> OrderedSearch:
        """Return the statements of a search."""
        experiments = None if wanted.experiment_ids is None else await self._experiments(wanted.experiment_ids)
        stage = None
        if wanted.stage is not None:
            gone = [row["experiment_id"] for row in await self._connection.fetch(sql("deleted_experiments"))]
            asked = set(gone if wanted.experiment_ids is None else wanted.experiment_ids)
            stage = InStage(wanted.stage, [one for one in gone if one in asked])
        return OrderedSearch(wanted.filter, stage, experiments, wanted.orders)

    async def label_values(
        self, experiment_ids: Sequence[str], prefix: str, paths: Sequence[str], *, limit: int
    ) -> list[tuple[str, list[str | None]]]:
        """Return the different values at these paths inside labels whose name begins so, with their experiment."""
        experiments = await self._experiments(experiment_ids)
        query = label_values(experiments, prefix, paths, limit=limit, lost_after_s=self._lost_after_s)
        await self._connection.execute(sql("plan_search"))
        rows = await self._connection.fetch(query.statement, *query.parameters)
        return [(row["experiment_id"], row["found"]) for row in rows]

    async def _experiments(self, ids: Sequence[str]) -> InExperiments:
        named = await self._connection.fetch(sql("names_of_experiments"), list(ids))
        return InExperiments(ids, [row["name"] for row in named])

    async def read(self, run_ids: Sequence[str]) -> AsyncGenerator[tuple[str, bytes]]:
        """Yield id and document of these runs in this order, as JSON; unknown and deleted runs are left out."""
        statement = filled(sql("get_run_documents"), {"stage": sql("stage_with_experiment")})
        first, count, spent = 0, FIRST_DOCUMENTS, 1
        while wanted := list(run_ids[first : first + count]):
            runs = await self._connection.fetch(statement, wanted, self._lost_after_s)
            newest: dict[str, list[Any]] = {}
            for row in await self._connection.fetch(sql("get_newest_points"), wanted):
                newest.setdefault(row["run_id"], []).append(row)
            for run in runs:
                document = _document(run, newest.get(run["run_id"], ()))
                spent += len(document)
                yield run["run_id"], document
            first += count
            count = max(1, min(DOCUMENTS_AT_ONCE, BYTES_AT_ONCE * first // spent))


def _document(run: Any, series: Iterable[Any]) -> bytes:
    """Return the JSON of a RunDocument: models of a thousand runs would take longer than to read their rows."""
    metrics: dict[str, dict[str, Any]] = {}
    for row in series:  # first attempt first: the newest one that has the series counts
        name = series_name(row["name"], row["labels"], row["step_name"])
        before = metrics.get(name)
        metrics[name] = {
            "step": row["last_step"],
            "time": row["last_time"],
            "value": float_to_json(row["last_value"]),
            "integer": row["integer"] and (before is None or before["integer"]),
        }
    parts = {
        "params": {name: plain(value) for name, value in (run["params"] or {}).items()},
        "tags": run["tags"] or {},
        "labels": {name: plain(value) for name, value in (run["labels"] or {}).items()},
        "metrics": metrics,
    }
    return orjson.dumps({name: run[name] for name in _FACTS} | parts)
