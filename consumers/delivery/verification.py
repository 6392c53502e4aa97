"""
Read runs back from PostgreSQL and from trackers, and compare: nothing here is remembered from the delivery but where
to look (the tracker's kept state).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any, NamedTuple

from consumers.delivery.comparison import Difference, RunFacts, compare
from consumers.delivery.tracker import Tracker, load_tracker
from consumers.log import LogReader, security_arguments
from consumers.materialiser.worker import CONSUMER
from consumers.store.deliveries import Deliveries, Progress, consumer_name
from consumers.store.pool import address, open_pool
from consumers.store.reading import Reading
from schemas.api import RunSummary
from schemas.errors import LogUnavailable, TrackerRefused
from schemas.facts import Facts
from schemas.settings import Settings

STORE = "postgresql"
RUNS_AT_ONCE = 4
ENDED = ("finished", "failed", "killed")
POLL_S = 0.1


class Verified(NamedTuple):
    """What every place holds, and how they differ."""

    places: dict[str, Facts]
    differences: list[Difference]
    caught_up: bool | None  # every consumer had read the log up to its end; None when Kafka could not be asked
    counts_only: list[str]  # runs whose points retention dropped from PostgreSQL: compared by number, not by value


class Wanted(NamedTuple):
    """Which runs and trackers to look at; all when empty."""

    trackers: Sequence[str] = ()
    run_ids: Sequence[str] = ()
    group: str | None = None


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
        try:
            caught_up = await _wait(settings, reading, names, wait_s)
        except LogUnavailable:
            if wait_s:
                raise
            caught_up = None  # what the places hold can be compared without the log
        known = {name: await Deliveries(pool, address(dsn), name, settings.topic).load() for name in names}
        known_runs = {run.run_id: run for run in await reading.runs(limit=2**31 - 1, group=wanted.group)}
        run_ids = list(wanted.run_ids) or await reading.run_ids(group=wanted.group)
        places = {STORE: Facts(), **{name: Facts() for name in names}}
        differences: list[Difference] = []
        counts_only: list[str] = []
        turns = asyncio.Semaphore(RUNS_AT_ONCE)

        async def one(run_id: str) -> tuple[RunFacts, dict[str, RunFacts]]:
            async with turns:
                return await _of_store(reading, run_id, known_runs.get(run_id)), {
                    name: await asyncio.to_thread(_of_tracker, tracker, run_id, known[name].get(run_id))
                    for name, tracker in trackers.items()
                }

        tasks = [asyncio.create_task(one(run_id)) for run_id in run_ids]
        stack.push_async_callback(_cancel, tasks)
        for done, task in enumerate(tasks, start=1):
            expected, found = await task
            counts_only += [expected.run_id] if expected.counts_only else []
            places[STORE].add(expected.total())
            for name, facts in found.items():
                places[name].add(facts.total())
                differences += compare(name, expected, facts)
            if progress is not None:
                progress(done, len(run_ids))
    return Verified(places, differences, caught_up, counts_only)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _of_store(reading: Reading, run_id: str, run: RunSummary | None) -> RunFacts:
    if run is None:
        return RunFacts(run_id, missing="PostgreSQL knows no run of this id")
    facts = RunFacts(run_id, run.state, set(await reading.params(run_id)))
    facts.started, facts.ended = run.started, run.ended if run.state in ENDED else None
    if (counts := await reading.dropped_counts(run_id)) is not None:
        facts.counts_only = True
        facts.series = {name: Facts(points=points) for name, points in counts.items()}
        return facts
    async for point in reading.points(run_id):
        facts.add_points((point,))
    return facts


def _of_tracker(tracker: Tracker, run_id: str, progress: Progress | None) -> RunFacts:
    """Read a run back from a tracker. Runs in a thread."""
    if progress is None:
        return RunFacts(run_id, missing="nothing of it was delivered yet")
    if not progress.state:
        return RunFacts(run_id, missing=progress.error or "nothing of it was delivered yet")
    try:
        held = tracker.read_back(run_id, progress.state)
        facts = RunFacts(run_id, held.status, set(held.params))
        facts.started, facts.ended = held.started, held.ended if held.status in ENDED else None
        facts.add_points(held.points)
    except TrackerRefused as error:
        return RunFacts(run_id, missing=str(error))
    return facts


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
