"""
What changed in the store, for all readers that ask: one task looks, however many readers there are.

The task takes which runs and saved items had records, waits until the fold has them, and answers each different
question once, for all its readers. A reader keeps the newest answer about each item until it takes them.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from consumers.live.feeds.feed import MAX_MISSED, Begin, Event, Failed, reset
from consumers.live.stream.catch_up import Missed, left
from consumers.live.stream.positions import write_positions
from consumers.live.stream.recent import Recent, subject_of
from consumers.live.stream.tail import Tail
from consumers.store.offsets import CONSUMER
from consumers.store.read.reader import StoreReader
from consumers.store.read.snapshot import Snapshot
from schemas.errors import LogGap, StoreUnavailable, TrackingError
from schemas.subjects import Subject

EVERY_S = 0.25  # the shortest time between two looks
AGAIN_S, TIMES = 0.5, 10  # while PostgreSQL does not answer a question
MAX_PENDING = 10_000  # items of one reader that it has not taken

Offsets = Mapping[int, int]

log = logging.getLogger("consumers.live")


class Question(ABC):
    """One question with all its readers."""

    def __init__(self, store: Callable[[], StoreReader], number: int) -> None:
        """`store` is limited to what the readers may see; `number`: of the records that were looked at, see Recent."""
        self.store, self.number = store, number
        self.feeds: set[ChangesFeed] = set()
        self.joining: set[ChangesFeed] = set()  # with the next look
        self.missed: set[Subject] = set()  # what they missed

    @abstractmethod
    async def find(self, now: Snapshot, subjects: Sequence[Subject], missed: Sequence[Subject]) -> dict[Any, Any]:
        """Return what readers learn, by item: about the first, and about the others as to one that knows nothing."""

    def lost(self, subjects: Sequence[Subject]) -> str:
        """Return why the subjects do not tell what changed; "": they do."""
        return ""


class Changes:
    """Looks for all questions."""

    def __init__(self, tail: Tail, turns: asyncio.Semaphore, folded: Callable[[Offsets], Awaitable[None]]) -> None:
        """`folded` returns once the store has everything below some offsets; raises StoreUnavailable."""
        self.tail, self.turns, self._folded = tail, turns, folded
        self._questions: dict[Hashable, Question] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def recent(self) -> Recent:
        """What had records lately."""
        return self.tail.recent

    def join(self, feed: ChangesFeed, missed: Sequence[Subject]) -> None:
        """Tell a reader what changes from now on, and what became of what it missed."""
        question = self._questions.get(feed.key)
        if question is None:
            question = self._questions[feed.key] = feed.make(self.recent.number)
        question.joining.add(feed)
        question.missed.update(missed)
        self.recent.changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def leave(self, feed: ChangesFeed) -> None:
        """Forget a reader."""
        question = self._questions.get(feed.key)
        if question is not None:
            question.feeds.discard(feed)
            question.joining.discard(feed)
            if not question.feeds and not question.joining:
                del self._questions[feed.key]

    def close(self) -> None:
        """End the task."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while self._questions:
            await self.recent.changed.wait()
            self.recent.changed.clear()
            began = clock()
            if self.tail.positions:
                await self._look(dict(self.tail.positions))
            await asyncio.sleep(max(0.0, began + EVERY_S - clock()))

    async def _look(self, positions: Offsets) -> None:
        number = self.recent.number
        asked: list[tuple[Question, list[Subject] | None, list[Subject]]] = []
        for one in self._questions.values():
            one.feeds |= one.joining
            asked.append((one, self.recent.after(one.number), list(one.missed)))
            one.number = number
            one.joining, one.missed = set(), set()
        await self._until_folded(positions)
        for question, subjects, missed in asked:
            if question.feeds:
                await self._answer(question, subjects, missed, positions)

    async def _until_folded(self, positions: Offsets) -> None:
        while True:
            try:
                return await self._folded(positions)
            except StoreUnavailable:
                await asyncio.sleep(AGAIN_S)

    async def _answer(
        self, question: Question, subjects: list[Subject] | None, missed: list[Subject], positions: Offsets
    ) -> None:
        why = "more runs changed at once than a stream can name" if subjects is None else question.lost(subjects)
        found, as_of = dict[Any, Any](), positions
        if not why and (subjects or missed):
            try:
                found, as_of = await self._ask(question, subjects or [], missed)
            except Exception as error:  # it ends the readers of this question, not those of others
                reason = str(error)
                if not isinstance(error, TrackingError):
                    log.error("a question of a stream failed", exc_info=error)
                    reason = f"unexpected {type(error).__name__}: see the log of the API"
                for feed in question.feeds:
                    feed.fail(reason)
                return
        for feed in question.feeds:
            feed.offer(found, positions, as_of, why)

    async def _ask(
        self, question: Question, subjects: Sequence[Subject], missed: Sequence[Subject]
    ) -> tuple[dict[Any, Any], Offsets]:
        times = 0
        while True:
            try:
                async with question.store().snapshot() as now:
                    return await question.find(now, subjects, missed), await now.offsets(CONSUMER, self.tail.topic)
            except StoreUnavailable:
                times += 1
                if times == TIMES:
                    raise
                await asyncio.sleep(AGAIN_S)


class ChangesFeed(ABC):
    """What one reader was not told yet."""

    topic: str

    def __init__(self, changes: Changes, store: Callable[[], StoreReader], begin: Begin) -> None:
        """`store` is limited to what the reader may see."""
        self.wake = asyncio.Event()
        self.is_closed = False
        self.store = store
        self._changes, self._begin = changes, begin
        self._positions = dict(begin.positions)
        self._pending: dict[Any, Any] = {}
        self._reached, self._as_of = self._positions, self._positions
        self._lost = self._problem = ""

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Equal for readers that may share a question."""

    @abstractmethod
    def make(self, number: int) -> Question:
        """Return the question of this reader."""

    @abstractmethod
    def events(self, pending: dict[Any, Any], as_of: str) -> list[Event]:
        """Return the events that tell these items."""

    @property
    def token(self) -> str:
        """Where to go on after what was taken."""
        return write_positions(self._positions)

    def close(self) -> None:
        """End it."""
        self.is_closed = True
        self._changes.leave(self)
        self.wake.set()

    def fail(self, reason: str) -> None:
        """End it with a reason for the reader."""
        self._problem = reason
        self.wake.set()

    def offer(self, found: Mapping[Any, Any], positions: Offsets, as_of: Offsets, lost: str) -> None:
        """Take what changed up to `positions`, as the store has it at `as_of`. Never waits."""
        self._reached, self._as_of = dict(positions), dict(as_of)
        self._pending.update(found)
        if len(self._pending) > MAX_PENDING:
            lost = "more changed than can wait for a reader that is this slow"
        if lost:
            self._lost, self._pending = lost, {}
        if lost or found:
            self.wake.set()

    async def take(self) -> Sequence[Event]:
        """Return what is new. Raises Failed."""
        if self._problem:
            raise Failed(self._problem)
        pending, lost = self._pending, self._lost
        self._pending, self._lost, self._positions = {}, "", self._reached
        events = [reset(self.topic, lost, self._as_of)] if lost else []
        return [*events, *(self.events(pending, write_positions(self._as_of)) if pending else [])]

    async def catch_up(self) -> AsyncGenerator[Sequence[Event], None]:
        """Find what was missed; `take` has what became of it."""
        changes, positions = self._changes, dict(self._positions)
        tail = changes.tail
        known, why = changes.recent.since(positions), self._begin.lost
        if known is not None and not why:
            changes.join(self, known)
            return
        missed = set[Subject]()
        reading = Missed(tail, changes.turns, subject_of, lambda: None)  # what comes meanwhile is among the recent ones
        try:
            missing = sum(left(tail.positions, positions).values())
            if not why and missing > MAX_MISSED:
                why = f"{missing:,} records since: the stream catches up with {MAX_MISSED:,}"
            if not why:
                async with aclosing(reading.read(positions)) as found:
                    async for one in found:
                        if one is None:
                            yield []
                        else:
                            missed.add(one)
                if (known := changes.recent.since(positions)) is not None:
                    changes.join(self, list(missed.union(known)))
                    return
                why = "more changed at once than a stream can name"
        except LogGap as error:
            why = str(error)
        self._positions = self._reached = dict(tail.positions)
        changes.join(self, ())
        yield [reset(self.topic, why, self._positions)]
