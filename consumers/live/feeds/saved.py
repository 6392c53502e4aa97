"""
The topic `saved`: views and rules of alerts that somebody saved or deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from consumers.live.feeds.changes import Changes, ChangesFeed, Question
from consumers.live.feeds.feed import Begin, Event, event
from consumers.store.read.reader import StoreReader
from consumers.store.read.snapshot import Snapshot
from schemas.subjects import Collection, Subject


class SavedQuestion(Question):
    """The newest versions of some items."""

    def __init__(self, collections: frozenset[Collection], store: Callable[[], StoreReader], number: int) -> None:
        super().__init__(store, number)
        self._collections = collections

    async def find(self, now: Snapshot, subjects: Sequence[Subject], missed: Sequence[Subject]) -> dict[Any, Any]:
        """Return facts about the newest version of each item."""
        found: dict[Subject, dict[str, Any]] = {}
        for one in dict.fromkeys((*subjects, *missed)):
            if one.collection in self._collections and (item := await now.registry.saved.get(*one)) is not None:
                facts = {"version": item.version, "state": item.state, "name": item.name, "type": item.type}
                found[one] = {**one._asdict(), **facts}
        return found


class SavedFeed(ChangesFeed):
    """Saved items for one reader."""

    topic = "saved"

    def __init__(
        self,
        collections: frozenset[Collection],
        changes: Changes,
        store: Callable[[], StoreReader],
        begin: Begin,
    ) -> None:
        super().__init__(changes, store, begin)
        self._collections = collections

    @property
    def key(self) -> Hashable:
        """Equal for readers that may share a question: views are the same for all."""
        return ("saved", self._collections)

    def make(self, number: int) -> Question:
        """Return the question of this reader."""
        return SavedQuestion(self._collections, self.store, number)

    def events(self, pending: dict[Any, Any], as_of: str) -> list[Event]:
        """Return an event for each item."""
        return [event("saved", {"as_of": as_of, **facts}) for facts in pending.values()]
