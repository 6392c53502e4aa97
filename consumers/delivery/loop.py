"""
Deliver the log to one tracker: the same loop for all of them, live and for a replay.

Read, queue by run, record what a run is about to be given, deliver runs in parallel threads, and replace the intent by
the result when the tracker has taken the records (dispatch/calls.py). A tracker that is away delays only its own runs;
a run that its tracker refuses is parked with the reason. The decision which run goes next is in flow/ (backlog, circuit
breaker, quarantine, rate limit); this module waits and reads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from consumers.delivery.backfill.catch_up import FETCH_RECORDS, POLL_MS, CatchUp
from consumers.delivery.backfill.history import History, HistoryProgress
from consumers.delivery.background import cancel_all
from consumers.delivery.dispatch.calls import CallContext
from consumers.delivery.dispatch.dispatcher import Dispatcher
from consumers.delivery.flow.backlog import Backlog
from consumers.delivery.flow.rate_limit import RateLimit
from consumers.log.reader import LogReader
from consumers.log.watermarks import has_reached
from consumers.store.delivery.checkpoints import Deliveries
from consumers.store.run_partitions import RunPartitions
from schemas.errors import LogDamaged, LogUnavailable, StoreUnavailable

SAVE_OFFSETS_S = 0.2
CHECK_LOG_S = 5.0

log = logging.getLogger("consumers.delivery")


@dataclass(frozen=True)
class Work:
    """What a loop delivers: everything without end, or a part of it."""

    only: frozenset[str] | None = None  # runs, each from its own offset; None: the whole log
    until: Mapping[int, int] | None = None  # offset by partition to end at; None: no end
    rate_limit: RateLimit = field(default_factory=RateLimit)

    def reread_target(self, backlog: Backlog, partition: int) -> int | None:
        """Return the offset up to which the second reader reads: where the first one is, or the end of the work."""
        if self.only is None:
            return backlog.position(partition)
        return None if self.until is None else self.until.get(partition, 0)


class Parts(NamedTuple):
    """What one delivery consists of, connected by service.open_delivery."""

    work: Work
    deliveries: Deliveries
    context: CallContext
    dispatcher: Dispatcher
    catch_up: CatchUp
    history: History
    run_partitions: RunPartitions
    reader: LogReader | None  # of the whole log, assigned; None: only chosen runs are delivered
    saved: Mapping[int, int]  # offset by partition that PostgreSQL has


class Delivery:
    """One tracker's loop. `run` returns when `stopping` is set, or its work is done, and no call is under way."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._work, self._context = parts, parts.work, parts.context
        self._backlog, self._dispatcher, self._reader = parts.context.backlog, parts.dispatcher, parts.reader
        self._saved = dict(parts.saved)
        self._next_save = self._next_check = 0.0
        self._damaged: dict[int, LogDamaged] = {}  # by partition
        self._passed_over: set[str] = set()  # kinds of subjects that a tracker does not get, and that are logged

    @property
    def records(self) -> int:
        """Records delivered since the start."""
        return self._dispatcher.records

    @property
    def points(self) -> int:
        """Points delivered since the start."""
        return self._dispatcher.points

    @property
    def obstacle(self) -> str:
        """Why nothing is delivered now: "paused", or the last error of a tracker that does not answer; else ''."""
        control = self._context.control
        return "paused" if control.is_paused else control.circuit.error

    def offsets(self) -> dict[int, int]:
        """Return by partition the offset below which everything is delivered, or parked with its run."""
        return self._backlog.offsets()

    def positions(self) -> dict[int, int]:
        """Return by partition the next offset to read; that of the second reader when it is the only one."""
        if self._work.only is None:
            return self.offsets()
        return dict(self._parts.catch_up.positions)

    def history_progress(self) -> HistoryProgress:
        """Return how far the histories are that come from PostgreSQL."""
        return self._parts.history.progress()

    async def run(
        self, stopping: asyncio.Event, on_ready: Callable[[], None], is_lease_lost: Callable[[], bool]
    ) -> None:
        """
        Deliver until `stopping` is set or the work is done.

        `on_ready` is called once reading has begun. A partition of which a batch cannot be read waits until it is
        repaired; work with an end raises LogDamaged once the other partitions are done. Raises LogUnavailable and
        LogGap, StoreUnavailable also when the lease is lost, and Fenced when another process delivers too.
        """
        context, dispatcher = self._context, self._dispatcher
        tasks: list[asyncio.Task[None]] = []
        try:
            if reasons := context.quarantine.hopeless():
                await context.rereads.park(reasons)
            await context.control.poll()
            tasks = [asyncio.create_task(one) for one in (self._parts.catch_up.run(), context.control.run())]
            on_ready()
            while not stopping.is_set() and not self._is_done():
                dispatcher.raise_error()
                _raise_errors(tasks)
                dispatcher.check_hung()
                if is_lease_lost():
                    raise StoreUnavailable("the connection that holds the lease was closed")
                await self._read()
                dispatcher.start_ready()
                await self._save_offsets()
                context.watch.delivery.set_backlog(self._backlog.bytes, dispatcher.under_way)
            if self._work.until is not None and self._damaged:
                raise next(iter(self._damaged.values()))
        finally:
            dispatcher.stop()
            await cancel_all(tasks)
            await dispatcher.drain(is_lease_lost)
            await self._save_offsets(now=True)

    def _is_done(self) -> bool:
        until = self._work.until
        if until is None or self._dispatcher.under_way or not self._context.rereads.is_done:
            return False
        if self._work.only is not None:
            return not len(self._backlog)
        readable = {part: offset for part, offset in until.items() if part not in self._damaged}
        return has_reached(self._backlog.offsets(), readable) and self._backlog.is_caught_up()

    async def _read(self) -> None:
        if self._reader is None or self._backlog.is_full:
            await asyncio.sleep(POLL_MS / 1000)
            return
        try:
            records = await self._reader.fetch(timeout_ms=POLL_MS, max_records=FETCH_RECORDS)
        except LogDamaged as error:
            self._set_aside(self._reader, error)
            return
        partitions = await self._parts.run_partitions.of_records(records, claim=True)
        self._backlog.add(records, partitions)
        self._report_passed_over()
        if self._damaged:
            for partition in self._damaged.keys() & {one.partition for one in records}:
                self._repaired(partition)
        if self._reader.known_partitions() - self._saved.keys():
            raise LogUnavailable(f"{self._reader.topic} has more partitions than before: starting again to read them")
        now = time.monotonic()
        if records:
            self._next_check = now + CHECK_LOG_S
        elif now >= self._next_check:
            self._next_check = now + CHECK_LOG_S
            await self._check_log(self._reader)

    def _report_passed_over(self) -> None:
        """Count the records about other subjects than runs, and log the first of each kind."""
        for collection, count in self._backlog.passed_over.items():
            if collection not in self._passed_over:
                self._passed_over.add(collection)
                log.info("records about %s are passed over: a tracker gets runs (docs/registry.md)", collection)
            self._context.watch.delivery.passed_over(collection, count)
        self._backlog.passed_over.clear()

    def _set_aside(self, reader: LogReader, error: LogDamaged) -> None:
        """Leave a partition that cannot be read; the others continue."""
        self._damaged[error.partition] = error
        reader.set_aside(error.partition)
        self._context.watch.pulse.damaged = str(error)
        self._context.outages.report_down(f"partition {error.partition}", f"{error}. Other partitions continue")

    def _repaired(self, partition: int) -> None:
        del self._damaged[partition]
        self._context.watch.pulse.damaged = next(map(str, self._damaged.values()), "")
        self._context.outages.report_back(f"partition {partition}", f"partition {partition} can be read again")

    async def _check_log(self, reader: LogReader) -> None:
        """Log once that Kafka is away, and once that it is back: `fetch` alone just returns no records."""
        try:
            await reader.end_offsets()
        except LogUnavailable as error:
            self._context.outages.report_down("log", f"{error}: waiting for it")
        else:
            self._context.outages.report_back("log", "Kafka is back")

    async def _save_offsets(self, *, now: bool = False) -> None:
        if not now and time.monotonic() < self._next_save:
            return
        self._next_save = time.monotonic() + SAVE_OFFSETS_S
        offsets = self._backlog.offsets()
        changed = {part: offset for part, offset in offsets.items() if offset > self._saved.get(part, -1)}
        if not changed:
            return
        try:
            await self._parts.deliveries.save_offsets(changed)
        except StoreUnavailable:
            return  # they only shorten the next start; the next turn tries again
        self._saved.update(changed)


def _raise_errors(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()
