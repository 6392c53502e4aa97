"""
Compare every place run by run: a few runs at once, each read back in pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from consumers.delivery.comparison import Difference, Loss, RunFacts, findings
from consumers.delivery.reading_back import Expected, read_store, read_tracker
from consumers.delivery.tracker import Capabilities, Tracker, capabilities_of, load_tracker
from consumers.log import LogReader, security_arguments
from consumers.materialiser.worker import CONSUMER
from consumers.store.deliveries import Deliveries, Progress, consumer_name
from consumers.store.pool import Pool, address, open_pool
from consumers.store.reading import Reading
from consumers.store.repairs import deleted_runs
from schemas.api import RunSummary
from schemas.errors import LogUnavailable
from schemas.facts import Facts
from schemas.settings import Settings

STORE = "postgresql"
RUNS_AT_ONCE = 4
POLL_S = 0.1


@dataclass
class PlaceFacts:
    """What one place holds, and how it differs."""

    facts: Facts = field(default_factory=Facts)
    series: int = 0
    tags: int = 0
    differing: set[str] = field(default_factory=set)  # runs
    cannot_hold: Sequence[str] = ()  # what gets lost in this tracker, in general


@dataclass
class Verified:
    """What every place holds, and how they differ."""

    places: dict[str, PlaceFacts]
    differences: list[Difference] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    caught_up: bool | None = None  # every consumer had read the log up to its end; None: Kafka could not be asked
    counts_only: list[str] = field(default_factory=list)  # runs whose points retention dropped from PostgreSQL

    def add(self, expected: Expected, found: Mapping[str, RunFacts], can: Mapping[str, Capabilities]) -> None:
        """Count one run."""
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


class Wanted(NamedTuple):
    """Which runs and trackers to look at; all when empty."""

    trackers: Sequence[str] = ()
    run_ids: Sequence[str] = ()
    group: str | None = None


class _Places(NamedTuple):
    """Everything that is read."""

    reading: Reading
    trackers: Mapping[str, Tracker]
    known: Mapping[str, Mapping[str, Progress]]  # by tracker
    runs: Mapping[str, RunSummary]
    can: Mapping[str, Capabilities]

    async def read(self, run_id: str) -> tuple[Expected, dict[str, RunFacts]]:
        """Return what all places hold of a run."""
        return await read_store(self.reading, run_id, self.runs.get(run_id), self.can), {
            name: await asyncio.to_thread(read_tracker, tracker, run_id, self.known[name].get(run_id))
            for name, tracker in self.trackers.items()
        }


async def verify(
    settings: Settings, wanted: Wanted, *, wait_s: float = 0.0, progress: Callable[[int, int], None] | None = None
) -> Verified:
    """
    Compare the wanted runs; `progress` is told how many of how many are done.

    Waits up to `wait_s` seconds for all consumers to reach the log's present end. Raises StoreUnavailable,
    TrackerUnavailable and, when it has to wait, LogUnavailable.
    """
    dsn = settings.need("postgres")
    names = list(dict.fromkeys(wanted.trackers or settings.trackers))
    trackers = {name: load_tracker(name, settings) for name in names}
    async with AsyncExitStack() as stack:
        pool = await open_pool(dsn)
        stack.push_async_callback(pool.close)
        reading = Reading(pool, address(dsn))
        for tracker in trackers.values():
            tracker.open(settings)
            stack.callback(tracker.close)
        verified = Verified({name: PlaceFacts() for name in (STORE, *names)})
        for name, tracker in trackers.items():
            verified.places[name].cannot_hold = list(tracker.cannot_hold)
        verified.caught_up = await _caught_up(settings, reading, names, wait_s)
        known = {name: await Deliveries(pool, address(dsn), name, settings.topic).load() for name in names}
        runs = {run.run_id: run for run in await reading.runs(limit=2**31 - 1, group=wanted.group)}
        can = {name: capabilities_of(tracker) for name, tracker in trackers.items()}
        places = _Places(reading, trackers, known, runs, can)
        run_ids = list(wanted.run_ids) or await reading.run_ids(group=wanted.group)
        await _compare(stack, places, run_ids, verified, progress)
        if wanted.group is None:
            await _deleted(pool, address(dsn), places, wanted.run_ids, verified)
    return verified


async def _compare(
    stack: AsyncExitStack,
    places: _Places,
    run_ids: Sequence[str],
    verified: Verified,
    progress: Callable[[int, int], None] | None,
) -> None:
    turns = asyncio.Semaphore(RUNS_AT_ONCE)

    async def one(run_id: str) -> tuple[Expected, dict[str, RunFacts]]:
        async with turns:
            return await places.read(run_id)

    tasks = [asyncio.create_task(one(run_id)) for run_id in run_ids]
    stack.push_async_callback(_cancel, tasks)
    for done, task in enumerate(tasks, start=1):
        verified.add(*await task, places.can)
        if progress is not None:
            progress(done, len(run_ids))


async def _deleted(pool: Pool, where: str, places: _Places, run_ids: Sequence[str], verified: Verified) -> None:
    """Look whether runs that were deleted are gone from the trackers too."""
    for name, tracker in places.trackers.items():
        held = [run for run, progress in places.known[name].items() if progress.state and run not in places.runs]
        for run_id in await deleted_runs(pool, where, [run for run in held if not run_ids or run in run_ids]):
            found = await asyncio.to_thread(read_tracker, tracker, run_id, places.known[name][run_id])
            if found.missing:
                continue
            if places.can[name].can_delete:
                verified.differences.append(Difference(name, run_id, "run", "", "deleted", "there"))
                verified.places[name].differing.add(run_id)
            else:
                verified.losses.append(Loss(name, run_id, "run", "", 1, "deleted since, and still shown"))


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _caught_up(settings: Settings, reading: Reading, trackers: Sequence[str], wait_s: float) -> bool | None:
    try:
        return await _wait(settings, reading, trackers, wait_s)
    except LogUnavailable:
        if wait_s:
            raise
        return None  # what the places hold can be compared without the log


async def _wait(settings: Settings, reading: Reading, trackers: Sequence[str], wait_s: float) -> bool:
    """Return whether all consumers have read up to the log's present end, after waiting for it."""
    reader = LogReader(settings.need("kafka"), settings.topic, security_arguments(settings))
    try:
        await reader.open()
        ends = await reader.end_offsets()
    finally:
        await reader.close()
    deadline = monotonic() + wait_s
    consumers = [CONSUMER, *map(consumer_name, trackers)]
    while True:
        behind = [name for name in consumers if not _reached(await reading.offsets(name, settings.topic), ends)]
        if not behind:
            return True
        if monotonic() >= deadline:
            return False
        await asyncio.sleep(POLL_S)


def _reached(offsets: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    return all(offsets.get(partition, 0) >= end for partition, end in ends.items())
