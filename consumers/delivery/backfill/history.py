"""
Backfill runs whose first records Kafka has deleted: replay them from PostgreSQL, then continue from the log.

The log begins above a record of a run that the tracker does not have. What PostgreSQL has folded of such a run, in one
snapshot, is frozen there (store/delivery/history.py) and passes through the same queues, calls and checkpoints as
records of the log; the position in a history serves as the offset. Nothing is missing and nothing is delivered twice,
for any tracker that keeps the contract:

- the frozen rows never change, and a position always yields the same event with the same number. So a call that is
  repeated after a crash delivers the same events, at most split differently, exactly as the contract allows for
  the log;
- the snapshot contains the rows and the offset that were committed together: all records below it are in the history,
  all others are in the log. The run continues there with the numbers that were folded of each producer, so that a copy
  of a record beyond that offset is recognised as one;
- entering and leaving a history are one transaction each, together with the row of the run.

A run the tracker may already hold in part cannot be resumed: no row records which points it received. If the tracker
can remove runs, the run is removed there and delivered again from the start. Otherwise the run is parked, and so is a
run whose points retention dropped: the tracker may hold the only copy.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from consumers.delivery.backfill.history_events import removal_events, run_events
from consumers.delivery.backfill.reread import Rereads
from consumers.delivery.background import cancel_all
from consumers.delivery.flow.backlog import Backlog
from consumers.delivery.flow.outages import OutageNotices
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
from schemas.errors import StoreUnavailable, TrackingError
from schemas.wire import encode_json

log = logging.getLogger("consumers.delivery")

PARALLEL_RUNS = 8  # histories delivered at the same time
FETCH_ROWS = 50  # of one run per query: about 2 MB of points
AHEAD_RECORDS = 150  # of one run, read and not delivered
POLL_S = 0.02
RESUME_S = 2.0  # a run that has its history waits this long for others, before the log is read for all of them


class HistoryProgress(NamedTuple):
    """How far the histories of a delivery are."""

    runs: int = 0  # delivered, and to be delivered
    done: int = 0
    events: int = 0  # of the runs that have begun
    given: int = 0  # of these events: added to the queues of their runs


class HistorySource(NamedTuple):
    """Where the histories of one tracker come from."""

    tracker: str
    histories: Histories
    trackers: Trackers
    outages: OutageNotices
    can_delete: bool  # the tracker can remove runs


async def claim_incomplete(
    histories: Histories, trackers: Trackers, tracker: str, known: Mapping[int, int], first: Mapping[int, int]
) -> None:
    """
    Mark for a re-read all runs with records that Kafka has deleted and the tracker does not have.

    The tracker has the log up to the offsets `known`, the log begins at `first`, both by partition. Raises
    StoreUnavailable, with the reason in the tracker's row, until PostgreSQL has folded what the log has lost.
    """
    below = {part: at for part, at in first.items() if at > known.get(part, 0)}
    if not below:
        return
    if problem := not_folded(await histories.folded(), below):
        await trackers.report(tracker, CircuitReport(error=problem))
        raise StoreUnavailable(problem)
    await histories.claim({part: known.get(part, 0) for part in below}, below)


def not_folded(folded: Mapping[int, int], below: Mapping[int, int]) -> str:
    """Return which of the deleted offsets PostgreSQL does not have yet, in words; '' when it has all."""
    return " and ".join(
        f"PostgreSQL has partition {part} up to offset {folded.get(part, 0)} and the log begins at {at}: "
        "the delivery waits for the materialiser"
        for part, at in sorted(below.items())
        if folded.get(part, 0) < at
    )


class History:
    """The histories of one delivery: runs until cancelled."""

    def __init__(
        self, backlog: Backlog, source: HistorySource, rereads: Rereads, on_records: Callable[[], object]
    ) -> None:
        """Serve `backlog`; `on_records` is called when events of a history were queued."""
        self._backlog, self._source, self._rereads, self._on_records = backlog, source, rereads, on_records
        self._incomplete: dict[str, tuple[IncompleteRun, int]] = {}  # to freeze, and the start of the log
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by run
        self._finished: dict[str, tuple[int, int]] = {}  # by run: partition and offset to continue from in the log
        self._resumed_at = 0.0
        self._done = self._events = self._given = 0

    async def take_incomplete(self, first: Mapping[int, int]) -> dict[str, str]:
        """
        Take over the runs that a log beginning at `first` no longer has completely.

        Returns those that cannot be delivered, with the reason. What the other runs need lies in the log, or nowhere.
        """
        for run_id in self._missing(first):  # what is queued of them is delivered first: it decides what they need
            await self._until_delivered(run_id)
        missing = self._missing(first)
        if not missing:
            return {}
        await self._until_folded({part: first[part] for part, _ in missing.values()})
        source, hopeless = self._source, dict[str, str]()
        for run in await source.outages.retry_store(lambda: source.histories.losses(missing, first)):
            if run.is_begun and (run.is_dropped or not source.can_delete):
                hopeless[run.run_id] = _hopeless(run, source.tracker)
                continue
            self._incomplete[run.run_id] = (run, first[run.partition])
            self._backlog.start_reread(run.run_id, run.partition, HISTORY)
        self._rereads.history_requested.set()
        return hopeless

    def progress(self) -> HistoryProgress:
        """Return how far the histories are."""
        positions = self._backlog.reread_positions()
        waiting = sum(at >= HISTORY for _, at in positions.values()) - len(self._finished)
        return HistoryProgress(self._done + max(0, waiting), self._done, self._events, self._given)

    async def run(self) -> None:
        """Deliver histories until cancelled. Raises Fenced."""
        requested = self._rereads.history_requested
        try:
            while True:
                waiting = asyncio.create_task(requested.wait())
                pause = RESUME_S if self._finished else None
                try:
                    either = {waiting, *self._tasks.values()}
                    await asyncio.wait(either, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                requested.clear()
                for run_id in [run_id for run_id, task in self._tasks.items() if task.done()]:
                    self._tasks.pop(run_id).result()
                self._begin()
                self._resume_from_log()
        finally:
            await cancel_all(self._tasks.values())

    def _missing(self, first: Mapping[int, int]) -> dict[str, tuple[int, int]]:
        positions = self._backlog.reread_positions()
        return {run: (part, at) for run, (part, at) in positions.items() if at < first.get(part, 0)}

    async def _until_folded(self, below: Mapping[int, int]) -> None:
        source, reported = self._source, ""
        while problem := not_folded(await source.outages.retry_store(source.histories.folded), below):
            if problem != reported:
                log.warning("%s", problem)
                await self._report(problem)
                reported = problem
            await asyncio.sleep(RETRY_S)
        if reported:
            await self._report("")

    async def _report(self, problem: str) -> None:
        source, report = self._source, CircuitReport(error=problem)
        await source.outages.retry_store(lambda: source.trackers.report(source.tracker, report))

    def _begin(self) -> None:
        for run_id, (partition, at) in self._backlog.reread_positions().items():
            if len(self._tasks) >= PARALLEL_RUNS:
                return
            if at >= HISTORY and run_id not in self._tasks and run_id not in self._finished:
                self._tasks[run_id] = asyncio.create_task(self._deliver_or_park(run_id, partition, at - HISTORY))

    def _resume_from_log(self) -> None:
        """Let the log continue for runs that have their history: together, because each time it is read for all."""
        if not self._finished or (self._tasks and time.monotonic() - self._resumed_at < RESUME_S):
            return
        for run_id, (partition, offset) in self._finished.items():
            if self._backlog.is_rereading(run_id):
                self._backlog.start_reread(run_id, partition, offset)
        self._finished.clear()
        self._resumed_at = time.monotonic()
        self._rereads.request()

    async def _deliver_or_park(self, run_id: str, partition: int, position: int) -> None:
        """Deliver the history of one run; an unexpected error parks this run, and the others continue."""
        try:
            await self._deliver(run_id, partition, position)
        except TrackingError:
            raise
        except Exception as error:  # of any type: a row that nothing foresaw must not end the other histories
            log.exception("the history of run %s cannot be delivered to %s", run_id, self._source.tracker)
            await self._rereads.park(
                {run_id: f"its history cannot be read: {type(error).__name__}: {str(error)[:300]}"}
            )

    async def _deliver(self, run_id: str, partition: int, position: int) -> None:
        frozen = await self._frozen(run_id)
        if frozen is None:
            return
        self._events += frozen.places - position
        while position < frozen.places:
            if not self._backlog.is_rereading(run_id):
                return  # parked: the rows wait for `gateway trackers retry`
            if self._backlog.is_full or self._backlog.queued_records(run_id) >= AHEAD_RECORDS:
                await asyncio.sleep(POLL_S)
                continue
            position = await self._feed(run_id, frozen, position)
        await self._until_delivered(run_id)
        if self._backlog.is_rereading(run_id):
            source = self._source
            offset = await source.outages.retry_store(lambda: source.histories.leave(run_id))
            self._finished[run_id] = (partition, offset)
            self._done += not frozen.is_removal

    async def _until_delivered(self, run_id: str) -> None:
        while self._backlog.is_queued(run_id):  # noqa: ASYNC110  # the backlog is pure: it signals nothing
            await asyncio.sleep(POLL_S)

    async def _frozen(self, run_id: str) -> FrozenHistory | None:
        source = self._source
        run, below = self._incomplete.pop(run_id, (None, 0))
        while True:
            frozen = await source.outages.retry_store(lambda: source.histories.load(run_id))
            if frozen is not None or not self._backlog.is_rereading(run_id):
                return frozen
            if run is None:
                raise StoreUnavailable(f"the history of run {run_id} is gone from PostgreSQL")
            frozen = await source.outages.retry_store(lambda: source.histories.freeze(run, below, _events))
            if frozen is None:
                await asyncio.sleep(RETRY_S)
                continue
            _log_frozen(run_id, source.tracker, frozen)
            return frozen

    async def _feed(self, run_id: str, frozen: FrozenHistory, position: int) -> int:
        source = self._source
        events = await source.outages.retry_store(lambda: source.histories.read(run_id, position, FETCH_ROWS))
        records = [_record(run_id, frozen, position + i, event) for i, event in enumerate(events)]
        if self._backlog.is_rereading(run_id):
            self._backlog.add_reread(records)
            self._given += len(records)
            self._on_records()
        return position + len(records)


def _record(run_id: str, frozen: FrozenHistory, position: int, event: dict[str, Any]) -> Record:
    kind, instant = event["kind"], event["time"]
    made = encode_json(run_id, frozen.producer, position, instant, kind, orjson.dumps(event))
    now_ms = int(time.time() * 1_000)  # not the event's time: lag is measured for the log
    return Record("", frozen.partition, HISTORY + position, made.key, made.value, tuple(made.headers), now_ms)


def _hopeless(run: IncompleteRun, tracker: str) -> str:
    reason = f"the log no longer holds the records it needs: they were deleted. {tracker} has a part of the run, and "
    if run.is_dropped:
        return reason + "retention dropped its points: what is there stays as it is"
    return reason + "cannot remove it to receive it again: a tracker with another name and target gets all of it"


def _events(rows: RunSnapshotRows, is_begun: bool) -> RunEvents:
    return removal_events(rows) if is_begun else run_events(rows)


def _log_frozen(run_id: str, tracker: str, frozen: FrozenHistory) -> None:
    if frozen.is_removal:
        log.warning(
            "run %s is removed from %s and delivered again: the log lost records that %s does not have",
            run_id, tracker, tracker,
        )  # fmt: skip
    if frozen.dropped_points:
        log.warning(
            "run %s goes to %s without %s points: retention dropped them and the log has lost them",
            run_id, tracker, f"{frozen.dropped_points:,}",
        )  # fmt: skip
