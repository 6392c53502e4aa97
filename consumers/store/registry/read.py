"""
Read experiments, models, versions and decisions, within one snapshot of the store.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from consumers.store.alerts.firings import FiringsReader
from consumers.store.pool import PooledConnection
from consumers.store.registry.logged_models import LoggedModelReader
from consumers.store.registry.saved import SavedReader
from consumers.store.registry.search import Listed, Narrowing, RegistryStatement, Sorted, narrowed
from consumers.store.search.filter_terms import All, Node
from consumers.store.search.page_token import PagePosition, TokenError, read_token, write_token
from consumers.store.statements import sql
from schemas.api import DecisionDocument, Experiment, ModelDocument, ModelVersionDocument

RequestKey = tuple[str, str, int]  # collection, producer, seq
ROWS_AHEAD = 50
LONGEST_OFFSET = 18  # digits
PAGE_CHARACTERS = 8_000_000  # of descriptions and tags; a page ends after the row that exceeds it


class Page(NamedTuple):
    """Some rows of a list, as documents, and the token of those that follow; None if none do."""

    rows: list[Any]
    next_page_token: str | None


class Wanted(NamedTuple):
    """Which rows of a list are wanted."""

    filter: Node = All(())
    narrowings: Sequence[Narrowing] = ()
    limit: int = 1
    page_token: str | None = None  # in an order of its own: how many rows come before the page
    order: Sequence[Sorted] = ()  # newest first if empty


class RegistryReader:
    """Queries about the registry on the connection of one snapshot."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection
        self.firings = FiringsReader(connection)
        self.logged_models, self.saved = LoggedModelReader(connection), SavedReader(connection)

    async def experiments(self, wanted: Wanted) -> Page:
        """Return a page of experiments, newest first. Raises TokenError."""
        return await self._page("experiments", wanted, _experiment)

    async def models(self, wanted: Wanted) -> Page:
        """Return a page of models, newest first. Raises TokenError."""
        return await self._page("models", wanted, _model)

    async def versions(self, wanted: Wanted) -> Page:
        """Return a page of versions of all models, newest model and highest number first. Raises TokenError."""
        return await self._page("model_versions", wanted, _version)

    async def model(self, name: str) -> ModelDocument | None:
        """Return a model with the newest version of each stage; None if there is none of this name."""
        found = (await self.models(Wanted(narrowings=[Narrowing("name", name)]))).rows
        if not found:
            return None
        return (await self.with_latest(found))[0]

    async def with_latest(self, models: Sequence[ModelDocument]) -> list[ModelDocument]:
        """Return models with the newest version of each stage."""
        latest: dict[str, list[ModelVersionDocument]] = {one.name: [] for one in models}
        for row in await self._connection.fetch(sql("latest_model_versions"), list(latest)):
            latest[row["name"]].append(_version(row))
        return [one.model_copy(update={"latest": latest[one.name]}) for one in models]

    async def counts(self) -> dict[str, int]:
        """Return how many experiments, deleted ones included, and models there are."""
        row = await self._connection.fetchrow(sql("count_registry"))
        return {} if row is None else dict(row)

    async def decisions(self, requests: Collection[RequestKey]) -> dict[RequestKey, DecisionDocument]:
        """Return what became of those of these requests that are decided."""
        if not requests:
            return {}
        columns = [list(column) for column in zip(*requests, strict=True)]
        rows = await self._connection.fetch(sql("get_decisions"), *columns)
        return {(row["collection"], row["producer"], row["seq"]): DecisionDocument(**row) for row in rows}

    async def _page(self, listed: Listed, wanted: Wanted, document: Any) -> Page:
        filter = narrowed(listed, wanted.filter, list(wanted.narrowings))
        after, offset = None, 0
        if wanted.order:
            offset = _offset(wanted.page_token)
        elif wanted.page_token is not None:
            after = read_token(wanted.page_token, filter, None)
        query = RegistryStatement(listed).page(
            filter, limit=wanted.limit + 1, after=after, order=wanted.order, offset=offset
        )
        shown, characters, last = [], 0, None
        async for row in self._connection.cursor(query.statement, *query.parameters, prefetch=ROWS_AHEAD):
            if last is not None and (len(shown) == wanted.limit or characters > PAGE_CHARACTERS):
                if wanted.order:
                    return Page(shown, str(offset + len(shown)))
                position = PagePosition(True, last["place"], last["place_id"])
                return Page(shown, write_token(position, filter, None))
            shown.append(document(row))
            characters += _length(row)
            last = row
        return Page(shown, None)


def _offset(page_token: str | None) -> int:
    token = page_token or "0"
    if not (token.isascii() and token.isdecimal() and len(token) <= LONGEST_OFFSET):
        raise TokenError("it is not a token of this API")
    return int(token)


def _length(row: Any) -> int:
    """Return the characters of the texts of a row that may be long."""
    return len(row["description"]) + sum(len(name) + len(value) for name, value in row["tags"].items())


def _experiment(row: Any) -> Experiment:
    return Experiment(**row, state="deleted" if row["deleted"] else "active")


def _model(row: Any) -> ModelDocument:
    return ModelDocument(**row)


def _version(row: Any) -> ModelVersionDocument:
    return ModelVersionDocument(**row)
