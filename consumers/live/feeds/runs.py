"""
The topic `runs`: which runs have news and match a filter, and which do not match any more.

Which runs matched before is not stored: a question remembers the answers about the runs that changed lately. So the
first time that a run changes and does not match it is named as gone, and then not again until it has matched.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from consumers.live.feeds.changes import Changes, ChangesFeed, Question
from consumers.live.feeds.feed import Begin, Event, event
from consumers.store.read.reader import StoreReader
from consumers.store.read.run_documents import RunsWanted
from consumers.store.read.snapshot import Snapshot
from consumers.store.search.filter_terms import All, Compare, Key, Value
from schemas.subjects import Subject

MAX_KNOWN = 20_000  # runs of one question
AT_ONCE = 1_000


class RunsQuestion(Question):
    """Which of some runs match."""

    def __init__(self, wanted: RunsWanted, is_limited: bool, store: Callable[[], StoreReader], number: int) -> None:
        """`is_limited`: `store` shows only some runs, and the others must not be named."""
        super().__init__(store, number)
        self._wanted, self._is_limited = wanted, is_limited
        self._matched: OrderedDict[str, bool] = OrderedDict()

    def lost(self, subjects: Sequence[Subject]) -> str:
        """Return why the subjects do not tell what changed: an experiment takes its runs with it."""
        if any(one.collection == "experiments" for one in subjects):
            return "an experiment was changed, which may concern all of its runs"
        return ""

    async def find(self, now: Snapshot, subjects: Sequence[Subject], missed: Sequence[Subject]) -> dict[Any, Any]:
        """Return whether runs match; those that did not before are left out."""
        for one in missed:
            self._matched.pop(one.id, None)
        ids = list(dict.fromkeys(one.id for one in (*subjects, *missed) if one.collection == "runs"))
        found: dict[str, bool] = {}
        for first in range(0, len(ids), AT_ONCE):
            some = ids[first : first + AT_ONCE]
            matching = await self._matching(now, some)
            seen = set(await now.series_charts.runs(some)) if self._is_limited else set(some)
            for run_id in some:
                if self._tells(run_id, run_id in matching, run_id in seen):
                    found[run_id] = run_id in matching
        return found

    async def _matching(self, now: Snapshot, ids: Sequence[str]) -> Collection[str]:
        among = Compare(Key("text", "run_id"), "in", tuple(Value(None, one) for one in ids))
        wanted = self._wanted._replace(filter=All((among, self._wanted.filter)))
        page = await now.documents.find(wanted, limit=len(ids), page_token=None)
        return {place.run_id for place in page.places}

    def _tells(self, run_id: str, matches: bool, is_seen: bool) -> bool:
        before = self._matched.get(run_id)
        self._matched[run_id] = matches
        self._matched.move_to_end(run_id)
        if len(self._matched) > MAX_KNOWN:
            self._matched.popitem(last=False)
        return matches or before is True or (before is None and is_seen)


class RunsFeed(ChangesFeed):
    """Runs of a filter for one reader."""

    topic = "runs"

    def __init__(
        self,
        wanted: RunsWanted,
        experiments: frozenset[str] | None,
        changes: Changes,
        store: Callable[[], StoreReader],
        begin: Begin,
    ) -> None:
        """`experiments`: the names of those that the reader is limited to, as `store` is; None: all."""
        super().__init__(changes, store, begin)
        self._wanted, self._experiments = wanted, experiments

    @property
    def key(self) -> Hashable:
        """Equal for readers that may share a question."""
        return ("runs", self._wanted, self._experiments)

    def make(self, number: int) -> Question:
        """Return the question of this reader."""
        return RunsQuestion(self._wanted, self._experiments is not None, self.store, number)

    def events(self, pending: dict[Any, Any], as_of: str) -> list[Event]:
        """Return one event that names the runs."""
        changed = [run_id for run_id, matches in pending.items() if matches]
        gone = [run_id for run_id, matches in pending.items() if not matches]
        return [event("runs", {"as_of": as_of, "changed": changed, "gone": gone})]
