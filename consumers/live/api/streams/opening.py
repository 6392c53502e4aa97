"""
Streams of topics: from a question to the frames of one connection.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from fastapi import Request

from consumers.live.api.connections import Connections, connections_of
from consumers.live.api.errors import Failure
from consumers.live.api.streams.questions import SINCE_STEP, STEP, Since, StreamQuestion
from consumers.live.api.streams.sending import STALLED_S, EventStream
from consumers.live.api.streams.visible import VisibleRuns
from consumers.live.feeds.alerts import AlertsFeed
from consumers.live.feeds.feed import Begin, Feed
from consumers.live.feeds.matching import NameMatch
from consumers.live.feeds.reader import Reader
from consumers.live.feeds.runs import RunsFeed
from consumers.live.feeds.saved import SavedFeed
from consumers.live.feeds.series import SeriesFeed, Source
from consumers.live.stream.positions import added_since
from consumers.live.stream.subscribers import MAX_SUBSCRIBERS, Subscribers
from consumers.log.reader import shorter_log
from consumers.store.offsets import CONSUMER
from consumers.store.search.regexes import BadRegex
from schemas.errors import LogDamaged, LogGap, LogUnavailable, StoreUnavailable
from schemas.runtime.access.identity import identity_of


async def open_stream(request: Request, question: StreamQuestion, last_event_id: str | None) -> EventStream:
    """Return the answer. Raises Failure for what is wrong with the question, while a status can say so."""
    connections = connections_of(request)
    subscribers = connections.subscribers
    refuse_full(subscribers)
    where = last_event_id or question.since
    since = Since(where, "Last-Event-ID" if last_event_id else "since")
    if not connections.tail.positions:
        raise LogUnavailable(connections.tail.problem)
    feeds = await _Feeds(connections, since, identity_of(request.scope).experiments).of(question)
    if not feeds:
        raise Failure(400, "parameter body: no topic", "name one of runs, series, alerts and saved")
    reader = Reader(feeds, lambda: len(subscribers))

    def stalled() -> None:
        subscribers.overruns += 1

    return EventStream(_frames(subscribers, reader), stalled, stalled_s=STALLED_S)


def refuse_full(subscribers: Subscribers) -> None:
    """Raise Failure 503 where no other stream may begin."""
    if subscribers.is_full:
        raise Failure(503, f"{MAX_SUBSCRIBERS} streams are open already", "close some", retry_after_s=10)


async def _frames(subscribers: Subscribers, reader: Reader) -> AsyncGenerator[bytes]:
    if not subscribers.enter(reader):
        return  # others were faster; the reader asks again, and gets the error then
    try:
        async with aclosing(reader.frames()) as frames:
            async for frame in frames:
                yield frame
    except (LogUnavailable, LogGap, LogDamaged, StoreUnavailable, Failure):
        return  # the status is sent already; the reader continues from its last position and gets the error then
    finally:
        subscribers.leave(reader)
        reader.close()


class _Feeds:
    """Makes the topics of one stream."""

    def __init__(self, connections: Connections, since: Since, experiments: frozenset[str] | None) -> None:
        self._connections, self._since, self._experiments = connections, since, experiments

    async def of(self, question: StreamQuestion) -> list[Feed]:
        """Return them. Raises Failure."""
        connections, feeds = self._connections, list[Feed]()
        if question.runs is not None:
            wanted, at = question.runs.wanted(), await self._from("runs")
            feeds.append(RunsFeed(wanted, self._experiments, connections.changes, connections.store, at))
        if question.saved is not None:
            collections = frozenset(question.saved.collections)
            self._refuse_limited("alert_rules" in collections, "saved.collections: rules of alerts are")
            feeds.append(SavedFeed(collections, connections.changes, connections.store, await self._from("saved")))
        if question.alerts is not None:
            self._refuse_limited(True, "alerts: they are")
            number = self._since.alerts
            if number is None:
                number = await connections.alerts.newest()
            feeds.append(AlertsFeed(connections.alerts, number, question.alerts.run_id, question.alerts.rule_id))
        if question.series is not None:
            match = NameMatch(question.series.wanted(), connections.names_matching)
            await _check_regex(match)
            visible = None if self._experiments is None else VisibleRuns(connections)
            source = Source(connections.tail, connections.subscribers)
            begin = await self._from("series")
            feeds.append(SeriesFeed(source, question.series.runs, match, begin, visible))
        return feeds

    async def _from(self, topic: str) -> Begin:
        """
        Return where a topic begins: at every partition of the log, those that `since` lacks from now.

        Topics that tell of the store begin at what the store has, so that no record lies between it and the stream.
        """
        now = self._connections.tail.positions
        given = self._since.offsets.get(topic, {})
        if topic != "series" and topic not in self._since.offsets:
            return Begin(await self._folded(now))
        for partition in given:
            if partition not in now:
                raise Failure(400, f"parameter since: the log has no partition {partition}", SINCE_STEP)
        if any(offset > now[partition] for partition, offset in given.items()):  # the tail may be a little behind
            end = (await self._connections.bounds.ask()).end
            if problem := shorter_log(self._connections.topic, given, end, "since"):
                return Begin(now, problem)
        added = added_since(given, now)
        first = (await self._connections.bounds.ask()).first if added else {}
        return Begin({**now, **given, **{part: first[part] for part in added}})

    async def _folded(self, now: Mapping[int, int]) -> dict[int, int]:
        """Return the positions of the store, none behind those of the tail."""
        async with self._connections.store().snapshot() as store:
            folded = await store.offsets(CONSUMER, self._connections.topic)
        return {partition: min(folded.get(partition, offset), offset) for partition, offset in now.items()}

    def _refuse_limited(self, concerns_all: bool, what: str) -> None:
        if concerns_all and self._experiments is not None:
            raise Failure(403, f"{what} for tokens of all experiments", "leave it out, or use another token")


async def _check_regex(match: NameMatch) -> None:
    try:
        await match.ask([""])
    except BadRegex as error:
        raise Failure(400, f"parameter match.regex: {error}", STEP) from None
