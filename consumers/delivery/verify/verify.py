"""
Compare all places run by run: a few runs at a time, each read back in pieces.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import NamedTuple

from consumers.delivery.background import cancel_all
from consumers.delivery.plugins.config import call_seconds
from consumers.delivery.plugins.loader import close_tracker, open_tracker
from consumers.delivery.plugins.watchdog import BoundedCalls, TrackerHangs
from consumers.delivery.verify.compare import STORE, findings
from consumers.delivery.verify.facts import RunFacts
from consumers.delivery.verify.findings import Difference, Loss
from consumers.delivery.verify.proof import Unproved, find_unproved, retry_outages
from consumers.delivery.verify.read_back import Expected, read_store, read_tracker, unread
from consumers.log.reader import LogReader
from consumers.log.security import security_arguments
from consumers.log.watermarks import has_reached
from consumers.store.delivery.checkpoints import Checkpoint, Deliveries
from consumers.store.delivery.repairs import deleted_runs, orphaned_runs
from consumers.store.offsets import CONSUMER, consumer_name
from consumers.store.pool import Database, open_database
from consumers.store.read.contents import StoredEdit
from consumers.store.read.reader import StoreReader
from consumers.trackers.protocol import Capabilities, Tracker, capabilities_of
from schemas.api import RunSummary
from schemas.errors import BadSettings, LogUnavailable, TrackingError
from schemas.facts import Facts
from schemas.runtime.settings import Settings

PARALLEL_RUNS = 4
READ_CALLS = 5.0  # timeouts of a call: limit for reading back one run
PAGE = 100  # runs whose summaries and checkpoints are in memory at the same time
POLL_S = 0.1


@dataclass
class PlaceFacts:
    """What one place holds, and how it differs."""

    facts: Facts = field(default_factory=Facts)
    series: int = 0
    tags: int = 0
    differing: set[str] = field(default_factory=set)  # runs
    cannot_hold: Sequence[str] = ()  # what this tracker loses in general


@dataclass
class VerifyResult:
    """What every place holds, and how they differ."""

    places: dict[str, PlaceFacts]
    differences: list[Difference] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    caught_up: bool | None = None  # every consumer has read the log up to its end; None: Kafka did not answer
    counts_only: list[str] = field(default_factory=list)  # runs whose points retention dropped from PostgreSQL
    not_delivered: Mapping[str, int] = field(
        default_factory=dict
    )  # subjects other than runs, by kind, if all are asked
    unproved: list[Unproved] = field(default_factory=list)  # why places without a difference may still lack something

    @property
    def is_proved(self) -> bool:
        """Whether no difference was found and nothing is left unproved."""
        return not self.differences and not self.unproved

    def add(self, expected: Expected, found: Mapping[str, RunFacts], can: Mapping[str, Capabilities]) -> None:
        """Add one run."""
        facts = expected.facts
        self.counts_only += [facts.run_id] if facts.counts_only else []
        self._count(STORE, facts)
        for name, held in found.items():
            self._count(name, held)
            for one in findings(name, facts, held, can[name], expected.kept.get(name)):
                if isinstance(one, Loss):
                    self.losses.append(one)
                else:
                    self.differences.append(one)
                    self.places[name].differing.add(one.run_id)

    def _count(self, name: str, facts: RunFacts) -> None:
        place = self.places[name]
        place.facts.add(facts.total())
        if not facts.missing:
            place.series += len(facts.series)
            place.tags += len(facts.tags or {})


class VerifyScope(NamedTuple):
    """Which runs and trackers to compare; all of them when empty."""

    trackers: Sequence[str] = ()
    run_ids: Sequence[str] = ()
    group: str | None = None


class _PlaceReader:
    """Reads runs from all places: a page of runs at a time, a few of them in parallel."""

    def __init__(self, settings: Settings, database: Database, trackers: Mapping[str, Tracker]) -> None:
        self.reading, self.trackers = StoreReader(database), trackers
        self.can = {name: capabilities_of(tracker) for name, tracker in trackers.items()}
        self._calls = {
            name: BoundedCalls(f"read-{name}", PARALLEL_RUNS, READ_CALLS * call_seconds(name, settings))
            for name in trackers
        }
        self.deliveries = {name: Deliveries(database, name, settings.topic) for name in trackers}

    async def read(self, run_ids: Sequence[str]) -> AsyncGenerator[tuple[Expected, dict[str, RunFacts]], None]:
        """Yield what all places hold of each run."""
        for at in range(0, len(run_ids), PAGE):
            async for one in self._read_page(list(run_ids[at : at + PAGE])):
                yield one

    async def _read_page(self, run_ids: list[str]) -> AsyncGenerator[tuple[Expected, dict[str, RunFacts]], None]:
        runs = await retry_outages(lambda: self._summaries(run_ids))
        known = {name: await deliveries.load(run_ids) for name, deliveries in self.deliveries.items()}
        waiting, begun = deque(run_ids), deque[asyncio.Task[tuple[Expected, dict[str, RunFacts]]]]()
        try:
            while waiting or begun:
                while waiting and len(begun) < PARALLEL_RUNS:
                    run_id = waiting.popleft()
                    checkpoints = {name: rows.get(run_id) for name, rows in known.items()}
                    begun.append(asyncio.create_task(self._read_one(run_id, runs.get(run_id), checkpoints)))
                yield await begun[0]
                begun.popleft()
        finally:
            await cancel_all(begun)

    async def _summaries(self, run_ids: Sequence[str]) -> dict[str, RunSummary]:
        async with self.reading.snapshot() as now:
            return await now.summaries(run_ids)

    async def _read_one(
        self, run_id: str, run: RunSummary | None, checkpoints: Mapping[str, Checkpoint | None]
    ) -> tuple[Expected, dict[str, RunFacts]]:
        expected = await retry_outages(lambda: self._read_store(run_id, run))
        edits = expected.facts.edits
        found = {name: await self.read_tracker(name, run_id, checkpoints[name], edits) for name in self.trackers}
        return expected, found

    async def _read_store(self, run_id: str, run: RunSummary | None) -> Expected:
        try:
            return await read_store(self.reading, run_id, run, self.can)
        except TrackingError:
            raise
        except Exception as error:  # noqa: BLE001  # rows that no fold wrote: only this run cannot be compared
            reason = f"its rows in PostgreSQL cannot be read ({type(error).__name__}: {error}): see `gateway rebuild`"
            return Expected(RunFacts(run_id, missing=reason[:500]), {})

    async def read_tracker(
        self, name: str, run_id: str, checkpoint: Checkpoint | None, edits: Sequence[StoredEdit] = ()
    ) -> RunFacts:
        """Return what one tracker holds of a run; if it does not answer in time, facts with that as the reason."""
        work = partial(read_tracker, self.trackers[name], run_id, checkpoint, edits)
        try:
            return await retry_outages(lambda: self._calls[name].call(work, f"read_back of run {run_id}"))
        except TrackerHangs as error:
            return unread(run_id, str(error))


async def verify(
    settings: Settings, scope: VerifyScope, *, wait_s: float = 0.0, progress: Callable[[int, int], None] | None = None
) -> VerifyResult:
    """
    Compare the runs of `scope`; `progress` gets the number of runs that are done, and of all.

    Waits up to `wait_s` seconds until all consumers have reached the log's present end. Raises StoreUnavailable,
    TrackerUnavailable and, when it has to wait, LogUnavailable.
    """
    dsn = settings.need("postgres")
    names = list(dict.fromkeys(scope.trackers or settings.trackers))
    trackers = {name: open_tracker(name, settings, call_seconds(name, settings), "verify") for name in names}
    async with AsyncExitStack() as stack:
        database = await open_database(dsn, size=PARALLEL_RUNS)
        stack.push_async_callback(database.close)
        for tracker in trackers.values():
            stack.push_async_callback(close_tracker, tracker)
        verified = VerifyResult({name: PlaceFacts() for name in (STORE, *names)})
        for name, tracker in trackers.items():
            verified.places[name].cannot_hold = list(tracker.cannot_hold)
        places = _PlaceReader(settings, database, trackers)
        verified.caught_up, is_folded = await _caught_up(settings, places.reading, names, wait_s)
        run_ids = await _chosen(places, scope)
        is_everything = not scope.run_ids and scope.group is None
        if is_everything:
            orphans = {one for name in names for one in await orphaned_runs(database, name)}
            run_ids += sorted(orphans)
            async with places.reading.snapshot() as now:
                verified.not_delivered = await now.registry.counts()
        reading = places.read(run_ids)
        stack.push_async_callback(reading.aclose)
        done = 0
        async for expected, found in reading:
            verified.add(expected, found, places.can)
            done += 1
            if progress is not None:
                progress(done, len(run_ids))
        known = None if is_everything else run_ids
        # What PostgreSQL has folded is compared, so deliveries that are behind show as differences by themselves.
        is_complete = verified.caught_up if wait_s else is_folded
        verified.unproved = await find_unproved(places.reading, known, is_complete=is_complete, waited=wait_s > 0)
        if scope.group is None:
            for name in names:
                await _deleted(places, name, await deleted_runs(database, name, scope.run_ids), verified)
    return verified


async def _chosen(places: _PlaceReader, scope: VerifyScope) -> list[str]:
    """Return the runs of `scope` without deleted ones, which are compared separately. Raises BadSettings."""
    async with places.reading.snapshot() as now:
        existing = await now.run_ids(group=scope.group)
        stored = {*await now.summaries(scope.run_ids)}
        deleted = stored - {*await now.run_ids()} if stored else set()
    if not scope.run_ids:
        if scope.group is not None and not existing:
            raise BadSettings(f"no run has the group {scope.group!r}: `gateway runs list` shows the groups")
        return existing
    for deliveries in places.deliveries.values():
        stored |= (await deliveries.load(list(scope.run_ids))).keys()
    if unknown := [run_id for run_id in scope.run_ids if run_id not in stored]:
        text = ", ".join(map(repr, unknown[:5]))
        raise BadSettings(f"no run has the id {text}: `gateway runs list` shows the ids")
    return [run_id for run_id in dict.fromkeys(scope.run_ids) if run_id not in deleted]


async def _deleted(places: _PlaceReader, name: str, run_ids: Sequence[str], verified: VerifyResult) -> None:
    """Add the deleted runs that a tracker still has, or has again."""
    known = await places.deliveries[name].load(list(run_ids))
    for run_id in run_ids:
        found = await places.read_tracker(name, run_id, known[run_id])
        if found.missing and not found.is_unread:
            continue
        if found.is_unread or places.can[name].can_delete:
            how, reason = ("unknown", found.missing) if found.is_unread else ("there", found.where)
            verified.differences.append(Difference(name, run_id, "run", "", "deleted", how, reason))
            verified.places[name].differing.add(run_id)
        else:
            verified.losses.append(Loss(name, run_id, "run", "", 1, "deleted since, and still shown"))


async def _caught_up(
    settings: Settings, reading: StoreReader, trackers: Sequence[str], wait_s: float
) -> tuple[bool | None, bool | None]:
    """Return whether all consumers, and whether PostgreSQL, have read the log's present end; None: no answer."""
    try:
        return await _wait(settings, reading, trackers, wait_s)
    except LogUnavailable:
        if wait_s:
            raise
        return None, None  # the places can be compared without the log


async def _wait(settings: Settings, reading: StoreReader, trackers: Sequence[str], wait_s: float) -> tuple[bool, bool]:
    """Return the same, once all consumers have, at the latest after `wait_s`."""
    reader = LogReader(settings.need("kafka"), settings.topic, security_arguments(settings))
    try:
        await reader.open()
        ends = await reader.end_offsets()
    finally:
        await reader.close()
    deadline = monotonic() + wait_s
    consumers = [CONSUMER, *map(consumer_name, trackers)]
    while True:
        behind = [name for name in consumers if not has_reached(await reading.offsets(name, settings.topic), ends)]
        if not behind or monotonic() >= deadline:
            return not behind, CONSUMER not in behind
        await asyncio.sleep(POLL_S)
