"""
Queries for tables of runs within one snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consumers.store.pool import PooledConnection
from consumers.store.read.documents import plain
from consumers.store.read.run_documents import RunDocuments, RunsWanted
from consumers.store.search.filter_terms import Key
from consumers.store.search.sql_builder import Query
from consumers.store.statements import sql
from consumers.store.tables.cells import MAX_CELL, Cells, read_cells
from consumers.store.tables.listing import FACTS, KINDS, columns_query, count_query, fact_type, types_of, values_query
from schemas.api.tables import ColumnFound, ValueFound


class TablesReader:
    """Reads tables of runs. One query at a time."""

    def __init__(self, connection: PooledConnection, documents: RunDocuments, lost_after_s: float) -> None:
        self._connection, self._documents, self._lost_after_s = connection, documents, lost_after_s

    async def cells(self, run_ids: Sequence[str], columns: Sequence[Key]) -> Cells:
        """Return the values of these columns of runs, in this order."""
        return await read_cells(self._connection, run_ids, columns, self._lost_after_s)

    async def count(self, wanted: RunsWanted) -> int:
        """Return how many runs a search finds."""
        query = count_query(await self._documents.search(wanted), self._lost_after_s)
        return int((await self._rows(query))[0][0])

    async def columns(self, wanted: RunsWanted, prefix: str, *, limit: int) -> list[ColumnFound]:
        """Return facts, and the columns of runs that a search finds, whose names begin so: the most frequent first."""
        search, runs = await self._documents.search(wanted), await self.count(wanted)
        facts = [
            ColumnFound(key=("fact", name), types=[fact_type(name)], runs=runs)
            for name in FACTS
            if name.startswith(prefix.lower())
        ]
        query = columns_query(search, KINDS, prefix, limit=limit, lost_after_s=self._lost_after_s)
        rows = await self._rows(query)
        found = [
            ColumnFound(key=(row["kind"], row["name"]), types=types_of(row["types"]), runs=row["runs"]) for row in rows
        ]
        return [*facts, *found][:limit]

    async def values(self, wanted: RunsWanted, key: Key, prefix: str, *, limit: int) -> list[ValueFound]:
        """Return the values of a column that begin so: the most frequent first. Of long ones only the beginning."""
        search = await self._documents.search(wanted)
        rows = await self._rows(values_query(search, key, prefix, limit=limit, lost_after_s=self._lost_after_s))
        return [ValueFound(value=_value(row), runs=row["runs"]) for row in rows]

    async def _rows(self, query: Query) -> list[Any]:
        await self._connection.execute(sql("plan_search"))
        return list(await self._connection.fetch(query.statement, *query.parameters))


def _value(row: Any) -> Any:
    if isinstance(row["value"], str):
        return row["value"][:MAX_CELL]
    return row["head"][:MAX_CELL] if row["value"] is None else plain(row["value"])
