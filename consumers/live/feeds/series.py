"""
The topic `series`: new points of series of some runs, as the tail publishes them.

Each point comes once: a stream continues where its position is, and what a producer sent twice is left out. What makes
earlier points wrong (a new attempt, a deleted or renamed series, a late record) is an event `reread`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple

from consumers.live.feeds.feed import MAX_MISSED, Begin, Event, event, reset
from consumers.live.feeds.joining import Joining
from consumers.live.feeds.matching import NameMatch
from consumers.live.feeds.rows import Of, Row, row_of, text_of
from consumers.live.feeds.waiting import WaitingRows
from consumers.live.stream.catch_up import catch_up, left
from consumers.live.stream.messages import Message
from consumers.live.stream.positions import write_positions
from consumers.live.stream.subscribers import State, Subscribers
from consumers.live.stream.tail import Tail
from schemas.errors import LogGap
from schemas.events import (
    AnyEvent,
    AttemptStarted,
    Deleted,
    Points,
    Renamed,
    RunReopened,
    RunResumed,
    StepStarted,
)

# Points that may wait: of all readers together, and bounds of what may wait for one.
ALL_POINTS, MOST_POINTS, FEWEST_POINTS = 2_000_000, 20_000, 2_000
MOVING = frozenset({"run_created", "run_started", "run_resumed", "moved"})  # the run may be in another experiment then

# Which of the first runs may be seen, given those that may have moved, once the fold has these offsets.
Visible = Callable[[Collection[str], Collection[str], Mapping[int, int]], Awaitable[Collection[str]]]


class Source(NamedTuple):
    """Where points come from."""

    tail: Tail
    subscribers: Subscribers

    def limit(self) -> int:
        """Return how many points may wait for one reader."""
        return min(MOST_POINTS, max(FEWEST_POINTS, ALL_POINTS // max(1, len(self.subscribers))))


class SeriesFeed:
    """New points for one reader. Used from one event loop."""

    topic = "series"

    def __init__(
        self,
        source: Source,
        run_ids: Collection[str],
        match: NameMatch,
        begin: Begin,
        visible: Visible | None,
    ) -> None:
        """`visible` None: the reader may see all runs."""
        self.run_ids = frozenset(run_ids)
        self.wake = asyncio.Event()
        self.state: State = "open"
        self._source, self._match, self._visible = source, match, visible
        self._positions = dict(begin.positions)
        self._lost = begin.lost
        self._joining = Joining(begin.positions)
        self._rows = WaitingRows(source.limit)
        self._reread: set[str] = set()
        self._moved: set[str] = set()

    @property
    def is_closed(self) -> bool:
        """Whether the stream ends."""
        return self.state != "open"

    @property
    def token(self) -> str:
        """Where to go on after what was taken."""
        return write_positions(self._positions)

    def close(self) -> None:
        """End it."""
        self.state = "closed"
        self._source.subscribers.remove(self)
        self.wake.set()

    def wants(self, run_id: str, partition: int) -> bool:
        """Return True if an event belongs to this stream."""
        return run_id in self.run_ids

    def offer(self, message: Message) -> None:
        """Take a message of the tail. Never waits."""
        if not self._joining.holds_back(message):
            self._add(message)
        self.wake.set()

    async def catch_up(self) -> AsyncGenerator[Sequence[Event], None]:
        """Yield what was missed, in parts; then `take` has what follows."""
        tail, subscribers = self._source
        self._joining.begin()
        reason = self._lost
        try:
            missing = sum(left(tail.positions, self._positions).values())
            if not reason and missing > MAX_MISSED:
                reason = f"{missing:,} records since: the stream catches up with {MAX_MISSED:,}"
            if not reason:
                async for events in self._read():
                    yield events
        except LogGap as error:
            reason = str(error)
        if reason:
            subscribers.add(self)
            self._positions = dict(tail.positions)
            self._joining = Joining(self._positions)
            self._rows.take()
            yield [reset(self.topic, reason, self._positions)]
            return
        for message in self._joining.end():
            self._add(message)
        if self._joining.is_lost:
            yield [reset(self.topic, "the reader was too slow to catch up", self._source.tail.positions)]

    async def _read(self) -> AsyncGenerator[Sequence[Event], None]:
        positions = dict(self._positions)
        async with aclosing(catch_up(*self._source, self, positions)) as missed:
            async for message in missed:
                if message is not None:
                    self._add(message)
                if message is None or self._rows.points > FEWEST_POINTS // 2:
                    yield await self._taken(positions)
        self._positions = positions

    async def take(self) -> Sequence[Event]:
        """Return what is new. Raises BadRegex, StoreUnavailable and Failure."""
        return await self._taken(self._source.tail.positions)

    def _add(self, message: Message) -> None:
        if not self._joining.is_next(message):
            return
        found, run_id = message.envelope.event, message.run_id
        verdict = self._joining.admit(message)
        if verdict == "repeated":
            return
        if found.kind in MOVING:
            self._moved.add(run_id)
        if verdict == "late" or may_rewrite(found):
            self._reread.add(run_id)
        elif isinstance(found, Points):
            if self._joining.is_new_attempt(run_id, found.step_name, found.attempt):
                self._reread.add(run_id)
            self._add_points(message, found)

    def _add_points(self, message: Message, found: Points) -> None:
        for place, written in enumerate(message.series_names):
            if self._match.decide(written) is False:
                continue
            self._rows.add(row_at(message, found, place))

    async def _taken(self, positions: Mapping[int, int]) -> list[Event]:
        for part, offset in positions.items():
            self._positions[part] = max(self._positions.get(part, 0), offset)
        now = dict(self._positions)
        (rows, is_lost), reread, moved = self._rows.take(), self._reread, self._moved
        self._reread, self._moved = set(), set()
        unknown = {row.of.series for row in rows if self._match.decide(row.of.series) is None}
        if unknown:
            await self._match.ask(unknown)
            rows = [row for row in rows if self._match.decide(row.of.series)]
        if self._visible is not None and (rows or reread):
            runs = {row.of.run_id for row in rows} | reread
            seen = await self._visible(runs, moved, now)
            rows, reread = [row for row in rows if row.of.run_id in seen], reread.intersection(seen)
        at = write_positions(now)
        events = []
        if reread:
            events.append(event("reread", {"as_of": at, "run_ids": sorted(reread)}))
        if is_lost:
            events.append(reset(self.topic, "more series changed than may wait for a reader that is this slow", now))
        if rows:
            listed = b",".join(text_of(row) for row in rows)
            events.append(Event("series", b'{"as_of":"%b","series":[%b]}' % (at.encode(), listed)))
        return events


def row_at(message: Message, found: Points, place: int) -> Row:
    """Return the row of one series of an event; it is made once for all readers."""
    row: Row | None = message.made.get(place)
    if row is None:
        series = found.series[place]
        of = Of(message.run_id, message.series_names[place], series.name, found.step_name, series.labels, found.attempt)
        row = message.made[place] = row_of(of, message.partition, message.offset, series)
    return row


def may_rewrite(found: AnyEvent) -> bool:
    """Tell whether points that came before an event may not count any more, or have another name."""
    match found:
        case RunResumed() | RunReopened():
            return True
        case StepStarted() | AttemptStarted():
            return found.attempt > 1
        case Deleted() | Renamed():
            return found.what in ("run", "series")
    return False
