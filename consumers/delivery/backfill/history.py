"""
Bring the history of runs that the log has not whole: from PostgreSQL first, then the log goes on.

The log begins above a record of a run that the tracker lacks. What PostgreSQL folded of such a run, in one snapshot, is
frozen there (store/delivery/history.py) and goes through the same queues, calls and checkpoints as records of the log,
at places that are offsets of their own. Nothing is missing and nothing comes twice, for any tracker that keeps the
contract:

- the frozen rows never change, and a place always gives the same envelope with the same number, so a call repeated
  after a crash brings the same envelopes, cut elsewhere at most, which is what trackers are promised of the log;
- the snapshot holds the rows and the offset that were committed together: all records below it are in the history, all
  others are in the log, and the run goes on there with the numbers that were folded of each producer, so that a copy
  of a record beyond that offset is known as one;
- entering and leaving a history are one transaction each, with the row of the run.

A run of which the tracker has, or may have, a part cannot be gone on with: which points those were is told by no row.
A tracker that removes runs is made to remove it and gets it anew. For others the run is parked, and so is one whose
points retention dropped: the tracker may be the last who has them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import orjson

from consumers.delivery.backfill.history_events import removal, whole
from consumers.delivery.flow.backlog import Backlog
from consumers.log.record import Record
from consumers.log.retry import RETRY_S
from consumers.store.delivery.history import (
    HISTORY,
    FrozenHistory,
    Histories,
    IncompleteRun,
    RunEvents,
    RunSnapshotRows,
)
from consumers.store.delivery.orders import CircuitReport, Trackers
from schemas.errors import StoreUnavailable
from schemas.wire import encode_json

log = logging.getLogger("consumers.delivery")
T = TypeVar("T")

AT_ONCE = 8  # runs brought side by side
FETCH_ROWS = 50  # of a run at once: about 2 MB of points
AHEAD_RECORDS = 150  # of a run, read and not delivered
POLL_S = 0.02
READ_ON_S = 2.0  # runs that have their history wait so long for others, before the log is read for all of them


class Store(Protocol):
    """Asks PostgreSQL until it answers."""

    async def __call__(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the answer."""


class Counts(NamedTuple):
    """How far the histories of a delivery are."""

    runs: int = 0  # brought, and to be brought
    done: int = 0
    events: int = 0  # of those that were begun
    given: int = 0  # of these, to the queues of their runs


class Supply(NamedTuple):
    """Where the histories of one tracker come from."""

    tracker: str
    histories: Histories
    trackers: Trackers
    store: Store
    can_delete: bool  # the tracker removes runs


async def claim_lost(
    histories: Histories, trackers: Trackers, tracker: str, known: Mapping[int, int], first: Mapping[int, int]
) -> None:
    """
    Note as behind all runs with records that a tracker, which is at `known`, lacks and a log from `first` on has lost.

    Raises StoreUnavailable, with the reason in the tracker's row, until PostgreSQL has folded what the log has lost.
    """
    below = {part: at for part, at in first.items() if at > known.get(part, 0)}
    if not below:
        return
    if problem := not_folded(await histories.folded(), below):
        await trackers.report(tracker, CircuitReport(error=problem))
        raise StoreUnavailable(problem)
    await histories.claim({part: known.get(part, 0) for part in below}, below)


def not_folded(folded: Mapping[int, int], below: Mapping[int, int]) -> str:
    """Say which of the lost offsets PostgreSQL does not have yet; '' when it has all."""
    return " and ".join(
        f"PostgreSQL has partition {part} up to offset {folded.get(part, 0)} and the log begins at {at}: "
        "its beginning waits for the materialiser"
        for part, at in sorted(below.items())
        if folded.get(part, 0) < at
    )


class History:
    """The histories of one delivery: runs until cancelled."""

    def __init__(
        self,
        backlog: Backlog,
        supply: Supply,
        is_full: Callable[[], bool] = lambda: False,
        on_records: Callable[[], object] = lambda: None,
    ) -> None:
        """Serve `backlog`; `is_full` says when to pause, `on_records` is called when there are some."""
        self._backlog, self._supply, self._is_full, self._on_records = backlog, supply, is_full, on_records
        self._lost: dict[str, tuple[IncompleteRun, int]] = {}  # to be frozen, up to the offset that the log begins at
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._left: dict[str, tuple[int, int]] = {}  # partition, offset that the log goes on from
        self._left_at = 0.0
        self._called = asyncio.Event()
        self.on_left: Callable[[], object] = lambda: None  # the second reading has to begin again
        self._done = self._events = self._given = 0

    async def sort(self, first: Mapping[int, int]) -> dict[str, str]:
        """
        Take the runs that a log beginning at `first` has not whole; return those that cannot be had, with the reason.

        What the others want lies in the log, or nowhere.
        """
        for run_id in self._wanted(first):  # what is read of them is delivered first: it decides what they want
            await self._until_delivered(run_id)
        wanted = self._wanted(first)
        if not wanted:
            return {}
        await self._until_folded({part: first[part] for part, _ in wanted.values()})
        supply, gone = self._supply, dict[str, str]()
        for lost in await supply.store(lambda: supply.histories.losses(wanted, first)):
            if lost.is_begun and (lost.is_dropped or not supply.can_delete):
                gone[lost.run_id] = _hopeless(lost, supply.tracker)
                continue
            self._lost[lost.run_id] = (lost, first[lost.partition])
            self._backlog.fall_behind(lost.run_id, lost.partition, HISTORY)
        self.call()
        return gone

    def counts(self) -> Counts:
        """Return how far the histories are."""
        waiting = sum(at >= HISTORY for _, at in self._backlog.wanted().values()) - len(self._left)
        return Counts(self._done + max(0, waiting), self._done, self._events, self._given)

    def call(self) -> None:
        """There may be more runs that want their history."""
        self._called.set()

    async def run(self) -> None:
        """Bring histories until cancelled. Raises Fenced."""
        try:
            while True:
                waiting = asyncio.create_task(self._called.wait())
                pause = READ_ON_S if self._left else None
                await asyncio.wait({waiting, *self._tasks.values()}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                self._called.clear()
                for run_id in [run_id for run_id, task in self._tasks.items() if task.done()]:
                    self._tasks.pop(run_id).result()
                self._begin()
                self._read_on()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _wanted(self, first: Mapping[int, int]) -> dict[str, tuple[int, int]]:
        return {run: (part, at) for run, (part, at) in self._backlog.wanted().items() if at < first.get(part, 0)}

    async def _until_folded(self, below: Mapping[int, int]) -> None:
        supply, told = self._supply, ""
        while problem := not_folded(await supply.store(supply.histories.folded), below):
            if problem != told:
                log.warning("%s", problem)
                report = CircuitReport(error=problem)
                await supply.store(lambda report=report: supply.trackers.report(supply.tracker, report))  # type: ignore[misc]  # bound at once
                told = problem
            await asyncio.sleep(RETRY_S)
        if told:
            await supply.store(lambda: supply.trackers.report(supply.tracker, CircuitReport()))

    def _begin(self) -> None:
        for run_id, (partition, at) in self._backlog.wanted().items():
            if len(self._tasks) >= AT_ONCE:
                return
            if at >= HISTORY and run_id not in self._tasks and run_id not in self._left:
                self._tasks[run_id] = asyncio.create_task(self._bring(run_id, partition, at - HISTORY))

    def _read_on(self) -> None:
        """Let the log go on for runs that have their history: together, since each time it is read from the first."""
        if not self._left or (self._tasks and time.monotonic() - self._left_at < READ_ON_S):
            return
        for run_id, (partition, offset) in self._left.items():
            if self._backlog.is_behind(run_id):
                self._backlog.fall_behind(run_id, partition, offset)
        self._left.clear()
        self._left_at = time.monotonic()
        self.on_left()

    async def _bring(self, run_id: str, partition: int, place: int) -> None:
        frozen = await self._frozen(run_id)
        if frozen is None:
            return
        self._events += frozen.places - place
        while place < frozen.places:
            if not self._backlog.is_behind(run_id):
                return  # parked: the rows wait for `gateway trackers retry`
            if self._is_full() or self._backlog.queued(run_id) >= AHEAD_RECORDS:
                await asyncio.sleep(POLL_S)
                continue
            place = await self._feed(run_id, frozen, place)
        await self._until_delivered(run_id)
        if self._backlog.is_behind(run_id):
            offset = await self._supply.store(lambda: self._supply.histories.leave(run_id))
            self._left[run_id] = (partition, offset)
            self._done += not frozen.is_removal

    async def _until_delivered(self, run_id: str) -> None:
        while self._backlog.is_queued(run_id):  # noqa: ASYNC110  # the backlog is pure: it tells nobody
            await asyncio.sleep(POLL_S)

    async def _frozen(self, run_id: str) -> FrozenHistory | None:
        supply = self._supply
        lost, below = self._lost.pop(run_id, (None, 0))
        while True:
            frozen = await supply.store(lambda: supply.histories.load(run_id))
            if frozen is not None or not self._backlog.is_behind(run_id):
                return frozen
            if lost is None:
                raise StoreUnavailable(f"the history of run {run_id} is gone from PostgreSQL")
            frozen = await supply.store(lambda: supply.histories.freeze(lost, below, _told))
            if frozen is None:
                await asyncio.sleep(RETRY_S)
                continue
            _say(run_id, supply.tracker, frozen)
            return frozen

    async def _feed(self, run_id: str, frozen: FrozenHistory, place: int) -> int:
        supply = self._supply
        events = await supply.store(lambda: supply.histories.read(run_id, place, FETCH_ROWS))
        records = [_record(run_id, frozen, place + i, event) for i, event in enumerate(events)]
        if self._backlog.is_behind(run_id):
            self._backlog.take_in_again(records)
            self._given += len(records)
            self._on_records()
        return place + len(records)


def _record(run_id: str, frozen: FrozenHistory, place: int, event: dict[str, Any]) -> Record:
    kind, instant = event["kind"], event["time"]
    found = encode_json(run_id, frozen.producer, place, instant, kind, orjson.dumps(event))
    now_ms = int(time.time() * 1_000)  # lag is about the log
    return Record("", frozen.partition, HISTORY + place, found.key, found.value, tuple(found.headers), now_ms)


def _hopeless(lost: IncompleteRun, tracker: str) -> str:
    told = f"the log no longer holds the records it needs: they were deleted. {tracker} has a part of the run, and "
    if lost.is_dropped:
        return told + "retention dropped its points: what is there stays as it is"
    return told + "cannot remove it to have it whole: a tracker of another name and place gets all of it"


def _told(rows: RunSnapshotRows, is_begun: bool) -> RunEvents:
    return removal(rows) if is_begun else whole(rows)


def _say(run_id: str, tracker: str, frozen: FrozenHistory) -> None:
    if frozen.is_removal:
        log.warning("run %s is removed from %s: the log lost what it lacks, and it comes anew", run_id, tracker)
    if frozen.dropped_points:
        log.warning(
            "run %s goes to %s without %s points: retention dropped them and the log has lost them",
            run_id, tracker, f"{frozen.dropped_points:,}",
        )  # fmt: skip
