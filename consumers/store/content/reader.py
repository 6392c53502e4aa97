"""
Pages of console lines and of values of a run within one snapshot.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import asyncpg

from consumers.store.content.pages import Place, Wanted, page_query
from consumers.store.pool import PooledConnection
from consumers.store.search.regexes import BadRegex, reading_regex
from consumers.store.statements import sql

SEARCH_S = 5  # longest search: a regular expression may take any time


class SearchError(ValueError):
    """A search that PostgreSQL refuses, or that takes too long; the message says why."""


class Rows(NamedTuple):
    """Rows in order, and whether others come before and behind them."""

    rows: list[Any]
    has_previous: bool
    has_next: bool

    def place(self, at: int) -> Place | None:
        """Return the place of the first (0) or last (-1) row."""
        if not self.rows:
            return None
        row = self.rows[at]
        return Place(row["time"], row["log_offset"], row["position"])


class ContentReader:
    """Reads what a run wrote. One query at a time."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    async def page(
        self,
        kind: Literal["console", "observations"],
        wanted: Wanted,
        *,
        after: Place | None = None,
        before: Place | None = None,
        limit: int,
    ) -> Rows:
        """
        Return up to `limit` rows after a place or before one, by default from the first.

        With the same place in both, half of the rows are before it. Raises SearchError.
        """
        is_around = after is not None and after == before
        back, forth = [], []
        if before is not None:
            some = limit // 2 if is_around else limit
            back = await self._rows(page_query(kind, wanted, before, backwards=True, limit=some + 1))
            back, has_previous = back[:some][::-1], len(back) > some
        if before is None or is_around:
            some = limit - len(back)
            forth = await self._rows(page_query(kind, wanted, after, backwards=False, limit=some + 1))
            forth, has_next = forth[:some], len(forth) > some
        if before is None:
            has_previous = after is not None
        elif not is_around:
            has_next = before != Place.end()
        return Rows([*back, *forth], has_previous, has_next)

    async def value_series(self, run_id: str, limit: int) -> list[Any]:
        """Return the names of a run with values that are no numbers, at most `limit`. Raises SearchError."""
        return await self._fetch("value_series", run_id, limit)

    async def deliveries(self, run_id: str) -> list[Any]:
        """Return the rows of deliveries of a run, by tracker."""
        return list(await self._connection.fetch(sql("deliveries_of_run"), run_id))

    async def folded(self, run_id: str) -> tuple[int, int] | None:
        """Return partition and offset behind the newest folded record of a run; None: there is no such run."""
        row = await self._connection.fetchrow(sql("folded_of_run"), run_id)
        return None if row is None else (row["partition"], row["next_offset"])

    async def _fetch(self, statement: str, *parameters: Any) -> list[Any]:
        await self._connection.execute(sql("limit_search"), f"{SEARCH_S}s")
        try:
            return list(await self._connection.fetch(sql(statement), *parameters))
        except asyncpg.QueryCanceledError:
            raise SearchError(f"it took longer than {SEARCH_S} s") from None

    async def _rows(self, query: Any) -> list[Any]:
        await self._connection.execute(sql("limit_search"), f"{SEARCH_S}s")
        try:
            with reading_regex():
                return list(await self._connection.fetch(query.statement, *query.parameters))
        except BadRegex as error:
            raise SearchError(f"regex: {error}") from None
        except asyncpg.QueryCanceledError:
            raise SearchError(f"it took longer than {SEARCH_S} s") from None
