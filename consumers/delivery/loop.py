"""
Bring the log to one tracker: the same loop for all of them, live and for a replay.

Read, queue by run, write down what a run is about to be given, deliver runs in parallel threads, and replace the intent
by the result when the tracker has taken the records (calls.py). A tracker that is away costs waiting runs and nothing
else; a run that its tracker refuses is parked with the reason. What may go next is decided in backlog.py, circuit.py,
suspects.py and pace.py; this file does the waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from consumers.delivery.backfill.history import Counts, Supply, claim_lost
from consumers.delivery.backfill.reread import ReadAgain
from consumers.delivery.dispatch.calls import Calls, Means
from consumers.delivery.dispatch.checkpoints import Checkpoints
from consumers.delivery.dispatch.invoke import Bringing
from consumers.delivery.dispatch.orders import Control
from consumers.delivery.flow.backlog import Backlog
from consumers.delivery.flow.outages import Patience
from consumers.delivery.flow.quarantine import Suspects, hopeless
from consumers.delivery.flow.rate_limit import Pace
from consumers.delivery.plugins.threads import Threads
from consumers.delivery.plugins.watchdog import TrackerHangs, end_process
from consumers.log.reader import LogReader
from consumers.store.delivery.checkpoints import Deliveries
from consumers.store.delivery.history import Histories
from consumers.store.delivery.orders import Trackers
from consumers.telemetry.instruments import DeliveryWatch
from consumers.trackers.protocol import Tracker, capabilities_of
from schemas.errors import LogUnavailable, StoreUnavailable

PARALLEL_RUNS = 8
POLL_MS = 100  # an idle turn of the loop; a record that arrives ends it at once
FETCH_RECORDS = 2_000
CALL_RECORDS, CALL_BYTES = 500, 4 * 1024 * 1024  # of one run, handed to its tracker at once
MAX_BACKLOG_BYTES = 64 * 1024 * 1024  # read and undelivered; reading pauses above it
SAVE_OFFSETS_S = 0.2
CHECK_LOG_S = 5.0
LOST_DRAIN_S = 5.0  # calls may go on for so long when another process may take over


@dataclass(frozen=True)
class Work:
    """What a loop is to bring: everything for ever, or a part of it."""

    only: frozenset[str] | None = None  # runs, each from its own offset; None: the whole log
    until: Mapping[int, int] | None = None  # offset by partition to end at; None: go on until told to stop
    pace: Pace = field(default_factory=Pace)


class Delivery:
    """One tracker's loop. `run` returns when `stopping` is set, or its work is done, and nothing is in flight."""

    def __init__(
        self,
        tracker: Tracker,
        open_reader: Callable[[], LogReader],
        deliveries: Deliveries,
        trackers: Trackers,
        histories: Histories,
        watch: DeliveryWatch | None = None,
        work: Work | None = None,
        *,
        call_s: float,
    ) -> None:
        """Prepare; a call beyond `call_s` seconds counts as one that hangs."""
        self._watch = watch or DeliveryWatch(tracker.name)
        self._work = work or Work()
        self._name, self._deliveries, self._call_s = tracker.name, deliveries, call_s
        self._call_bytes = int(getattr(tracker, "call_bytes", CALL_BYTES))
        self._claim_lost = partial(claim_lost, histories, trackers, tracker.name)
        self._open_reader = open_reader
        self._reader: LogReader | None = None
        self._workers = PARALLEL_RUNS
        self._threads = Threads(PARALLEL_RUNS, f"deliver-{tracker.name}")
        self.control = Control(trackers, tracker.name, self._watch)
        self._patience = Patience(self._watch)
        self._backlog = Backlog({})
        self._again = ReadAgain(
            Supply(tracker.name, histories, trackers, self._patience.store, capabilities_of(tracker).can_delete),
            self._patience, self._watch, self._work.only,
        )  # fmt: skip
        checkpoints = Checkpoints(deliveries, tracker.name)
        self._calls = Calls(
            Means(
                tracker.name, checkpoints, self.control, self._patience, self._watch, self._again, self._work.pace
            ),
            Bringing(tracker), self._threads, call_s, self._is_full,
        )  # fmt: skip
        self._suspects = Suspects({}, 0.0, call_s=call_s, threads=PARALLEL_RUNS)
        self._tasks: dict[asyncio.Task[None], str] = {}  # with their runs
        self._broken: BaseException | None = None
        self._saved: dict[int, int] = {}
        self._next_save = self._next_check = 0.0
        self.give_up: Callable[[TrackerHangs], object] = lambda why: end_process(f"delivery {tracker.name}", why)

    @property
    def records(self) -> int:
        """Records delivered since the start."""
        return self._calls.records

    @property
    def points(self) -> int:
        """Points delivered since the start."""
        return self._calls.points

    async def run(self, stopping: asyncio.Event, ready: Callable[[], None], lost: Callable[[], bool]) -> None:
        """
        Deliver until told to stop; `ready` is called once reading has begun, `lost` tells that the lease is gone.

        Raises LogGap, LogUnavailable and StoreUnavailable at the start, Fenced when another process delivers too. When
        calls hang and have to be given up, `give_up` ends the process: their threads cannot be ended otherwise.
        """
        beside: list[asyncio.Task[None]] = []
        try:
            await self._assign()
            reading = self._again.prepare(
                self._open_reader, self._backlog, target=self._second_target, is_full=self._is_full,
                on_records=self._start_ready,
            )  # fmt: skip
            await self._look_back()
            await self.control.look(self._again.order)
            beside = [asyncio.create_task(one) for one in (reading.run(), self.control.run(self._again.order))]
            ready()
            while not stopping.is_set() and not self._is_done():
                self._raise_broken(beside)
                if (why := self._calls.stuck(self._workers, time.monotonic())) is not None:
                    self.give_up(why)
                if lost():
                    raise StoreUnavailable("the connection that holds the lease was closed")
                await self._read()
                self._start_ready()
                await self._save_offsets()
                self._watch.delivery.holding(self._backlog.bytes, len(self._tasks))
        finally:
            await self._drain(beside, lost)

    def offsets(self) -> dict[int, int]:
        """Return by partition the offset below which everything was delivered, or is parked with its run."""
        return dict(self._backlog.offsets())

    def positions(self) -> dict[int, int]:
        """Return by partition where reading is: the second one's when it is all there is."""
        if self._work.only is None:
            return self.offsets()
        return self._again.positions()

    def histories(self) -> Counts:
        """Return how far the histories are that come from PostgreSQL."""
        return self._again.histories()

    async def _assign(self) -> None:
        if self._work.only is not None:
            return
        self._reader = self._open_reader()
        await self._reader.open()
        known = await self._deliveries.offsets()
        first = await self._reader.beginning_offsets()
        await self._claim_lost(known, first)
        self._saved = {partition: known.get(partition, 0) for partition in first}
        starts = {partition: max(at, first[partition]) for partition, at in self._saved.items()}
        await self._reader.assign(starts)
        self._backlog = Backlog(starts)

    async def _look_back(self) -> None:
        """Learn in which calls an earlier process ended, and give up runs with which that happened too often."""
        unanswered = await self._deliveries.unanswered()
        self._suspects = Suspects(unanswered, time.monotonic(), call_s=self._call_s, threads=self._workers)
        self._calls.prepare(self._backlog, self._suspects)
        if reasons := hopeless(unanswered):
            await self._again.park(reasons)

    def _second_target(self, partition: int) -> int | None:
        if self._work.only is None:
            return self._backlog.position(partition)
        return None if self._work.until is None else self._work.until[partition]

    def _is_full(self) -> bool:
        return self._backlog.bytes >= MAX_BACKLOG_BYTES

    def _is_done(self) -> bool:
        until = self._work.until
        if until is None or self._tasks or not self._again.is_settled:
            return False
        if self._work.only is not None:
            return not len(self._backlog)
        offsets = self._backlog.offsets()
        return all(offsets.get(partition, 0) >= end for partition, end in until.items()) and self._backlog.is_level()

    def _raise_broken(self, beside: Iterable[asyncio.Task[None]]) -> None:
        if self._broken is not None:
            raise self._broken
        for task in beside:
            if task.done():
                task.result()

    async def _read(self) -> None:
        if self._reader is None or self._is_full():
            await asyncio.sleep(POLL_MS / 1000)
            return
        records = await self._reader.fetch(timeout_ms=POLL_MS, max_records=FETCH_RECORDS)
        self._backlog.take_in(records)
        now = time.monotonic()
        if records:
            self._next_check = now + CHECK_LOG_S
        elif now >= self._next_check:
            self._next_check = now + CHECK_LOG_S
            await self._check_log(self._reader)

    async def _check_log(self, reader: LogReader) -> None:
        """Say once that Kafka is away, and once that it is back; `fetch` itself just finds nothing."""
        try:
            await reader.end_offsets()
        except LogUnavailable as error:
            self._patience.down("log", f"{error}: waiting for it")
        else:
            self._patience.up("log", "Kafka is back")

    def _start_ready(self) -> None:
        now = time.monotonic()
        if self.control.is_paused or self._work.pace.wait(now) > 0:
            return
        for run_id in self._next(now):
            share = self._suspects.share(run_id)
            most = {"max_records": max(1, CALL_RECORDS // share), "max_bytes": self._call_bytes // share}
            records = self._backlog.start(run_id, **most)
            self.control.circuit.called()
            task = asyncio.create_task(self._calls(run_id, records))
            self._tasks[task] = run_id
            task.add_done_callback(self._finished)

    def _next(self, now: float) -> list[str]:
        circuit, free, hung = self.control.circuit, self._workers - len(self._tasks), self._calls.hung
        if free <= 0:
            return []
        if circuit.state != "closed":
            probe = self._backlog.steadiest(
                lambda run: run not in hung and circuit.admits(run, now), self._suspects.unanswered
            )
            return [] if probe is None else [probe]
        ready = [run for run in self._backlog.ready(now, free + len(hung) + len(self._suspects)) if run not in hung]
        calling = [run for run in self._tasks.values() if run not in hung]
        return self._suspects.choose(ready, calling, free, now)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._broken = error
        elif self._broken is None:
            self._start_ready()

    async def _save_offsets(self, *, now: bool = False) -> None:
        if not now and time.monotonic() < self._next_save:
            return
        self._next_save = time.monotonic() + SAVE_OFFSETS_S
        offsets = self._backlog.offsets()
        changed = {part: offset for part, offset in offsets.items() if offset > self._saved.get(part, -1)}
        if not changed:
            return
        try:
            await self._deliveries.save_offsets(changed)
        except StoreUnavailable:
            return  # they only shorten the next start; the next turn tries again
        self._saved.update(changed)

    async def _drain(self, beside: Sequence[asyncio.Task[None]], lost: Callable[[], bool]) -> None:
        """Wait for what is in flight: a thread that talks to a tracker must end before anybody starts it again."""
        self._workers = 0
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        began, calls = time.monotonic(), self._calls
        while self._tasks:
            if len(calls.hung) == len(self._tasks):
                self.give_up(TrackerHangs(next(iter(calls.hung.values())).text))
            if calls.under_way and lost() and time.monotonic() - began > LOST_DRAIN_S:
                runs = ", ".join(sorted(calls.under_way))
                self.give_up(TrackerHangs(f"the lease is gone, and calls are still under way for {runs}"))
            await asyncio.wait(self._tasks, timeout=POLL_MS / 1000, return_when=asyncio.FIRST_COMPLETED)
        await self._save_offsets(now=True)
        self._threads.end()
        if self._reader is not None:
            await self._reader.close()
