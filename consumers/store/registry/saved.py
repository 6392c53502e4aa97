"""
Read views and rules of alerts, with their versions, within one snapshot of the store.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal, NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.search.filter_terms import All, Compare, Key, Node, Value
from consumers.store.search.page_token import PagePosition, read_token, write_token
from consumers.store.statements import sql
from schemas.api.saved import SavedItem, SavedVersion
from schemas.subjects import Collection

ItemState = Literal["active", "deleted", "all"]
ROWS_AHEAD = 20  # each may have a body of 256 KiB


class SavedChoice(NamedTuple):
    """Which entries of a list are wanted."""

    type: str | None = None
    words: Sequence[str] = ()  # each in the name, in upper or lower case
    state: ItemState = "active"
    bodies: bool = False
    limit: int = 100
    page_token: str | None = None


class SavedReader:
    """Queries about saved items on the connection of one snapshot."""

    def __init__(self, connection: PooledConnection) -> None:
        self._connection = connection

    async def items(self, collection: Collection, choice: SavedChoice) -> AsyncGenerator[SavedItem]:
        """Yield the entries of a page and one more, if one follows; newest first. Raises TokenError."""
        after: tuple[int | None, str] = (None, "")
        if choice.page_token is not None:
            position = read_token(choice.page_token, _asked(collection, choice), None)
            after = (int(position.value), position.run_id)
        given = (collection, choice.type, choice.state, list(choice.words), *after, choice.bodies, choice.limit + 1)
        async for row in self._connection.cursor(sql("list_saved"), *given, prefetch=ROWS_AHEAD):
            yield _item(row)

    async def get(self, collection: Collection, item_id: str, version: int | None = None) -> SavedItem | None:
        """Return the newest or the named version of an item, also of a deleted one; None if there is none."""
        row = await self._connection.fetchrow(sql("get_saved"), collection, item_id, version)
        return None if row is None else _item(row)

    async def versions(
        self, collection: Collection, item_id: str, *, below: int | None, limit: int
    ) -> list[SavedVersion]:
        """Return versions of an item, newest first, without bodies; [] if there is no such item."""
        rows = await self._connection.fetch(sql("list_saved_versions"), collection, item_id, below, limit)
        return [SavedVersion(**row) for row in rows]


def token_behind(last: SavedItem, collection: Collection, choice: SavedChoice) -> str:
    """Return the token of the page after this entry."""
    return write_token(PagePosition(True, last.created, last.id), _asked(collection, choice), None)


def _asked(collection: Collection, choice: SavedChoice) -> Node:
    """Return what a token is for as a filter: a token of another list is refused."""
    facts = {"collection": collection, "type": choice.type, "words": " ".join(choice.words), "state": choice.state}
    return All(
        tuple(Compare(Key("text", name), "in", (Value(None, str(value)),)) for name, value in sorted(facts.items()))
    )


def _item(row: Any) -> SavedItem:
    facts = {name: row[name] for name in SavedItem.model_fields if name not in ("id", "state")}
    return SavedItem(id=row["item_id"], state="deleted" if row["deleted"] else "active", **facts)
