"""
Bring the log to one tracker: the same loop for all of them, live and for a replay.

Read, queue by run, write down what a run is about to be given, deliver runs in parallel threads, and replace the intent
by the result when the tracker has taken the records. A tracker that is away costs waiting runs and nothing else; a run
that its tracker refuses is parked with the reason. What may go next is decided in backlog.py, circuit.py and pace.py;
this file does the waiting and the talking.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from consumers.delivery.backlog import Backlog
from consumers.delivery.bringing import Bringing
from consumers.delivery.catching_up import CatchingUp
from consumers.delivery.checkpoints import Checkpoints
from consumers.delivery.circuit import LAST_RETRY_S, retry_delay
from consumers.delivery.control import Control
from consumers.delivery.history import History, Means, claim_lost
from consumers.delivery.pace import Pace
from consumers.delivery.patience import Patience
from consumers.delivery.tracker import Tracker, capabilities_of
from consumers.log import LogReader, Record
from consumers.operations.watches import DeliveryWatch
from consumers.store.deliveries import Deliveries, Intent, Progress, Result
from consumers.store.history import Histories
from consumers.store.trackers import Behind, Trackers
from schemas.errors import LogUnavailable, StoreUnavailable, TrackerRefused, TrackerUnavailable

log = logging.getLogger("consumers.delivery")

PARALLEL_RUNS = 8
POLL_MS = 100  # an idle turn of the loop; a record that arrives ends it at once
FETCH_RECORDS = 2_000
CALL_RECORDS, CALL_BYTES = 500, 4 * 1024 * 1024  # of one run, handed to its tracker at once
MAX_BACKLOG_BYTES = 64 * 1024 * 1024  # read and undelivered; reading pauses above it
SAVE_OFFSETS_S = 0.2
STUCK_FAILURES = 10  # about half a minute: so often a run alone may fail before it must make room
CHECK_LOG_S = 5.0


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
    ) -> None:
        self._watch = watch or DeliveryWatch(tracker.name)
        self._work = work or Work()
        self._tracker, self._deliveries, self._trackers, self._histories = tracker, deliveries, trackers, histories
        self._open_reader = open_reader
        self._reader: LogReader | None = None
        self._checkpoints = Checkpoints(deliveries, tracker.name)
        self._bring = Bringing(tracker)
        self._workers = PARALLEL_RUNS
        self._threads = ThreadPoolExecutor(PARALLEL_RUNS, thread_name_prefix=f"deliver-{tracker.name}")
        self.control = Control(trackers, tracker.name, self._watch)
        self._patience = Patience(self._watch)
        self._backlog = Backlog({})
        self._again: CatchingUp | None = None
        self.history: History | None = None
        self._settling: set[str] = set()  # behind no more, and PostgreSQL is about to know
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._saved: dict[int, int] = {}
        self._next_save = self._next_check = 0.0
        self._took_at = float("-inf")  # when the tracker last took something
        self.records = self.points = 0  # delivered since the start

    async def run(self, stopping: asyncio.Event, ready: Callable[[], None], lost: Callable[[], bool]) -> None:
        """
        Deliver until told to stop; `ready` is called once reading has begun, `lost` tells that the lease is gone.

        Raises LogGap, LogUnavailable and StoreUnavailable at the start, Fenced when another process delivers too.
        """
        beside: list[asyncio.Task[None]] = []
        try:
            await self._assign()
            self._again = self._second_reading()
            await self.control.look(self._read_again)
            beside = [asyncio.create_task(one) for one in (self._again.run(), self.control.run(self._read_again))]
            ready()
            while not stopping.is_set() and not self._is_done():
                self._raise_broken(beside)
                if lost():
                    raise StoreUnavailable("the connection that holds the lease was closed")
                await self._read()
                self._start_ready()
                await self._save_offsets()
                self._watch.delivery.holding(self._backlog.bytes, len(self._tasks))
        finally:
            await self._drain(beside)

    def offsets(self) -> dict[int, int]:
        """Return by partition the offset below which everything was delivered, or is parked with its run."""
        return dict(self._backlog.offsets())

    def positions(self) -> dict[int, int]:
        """Return by partition where reading is: the second one's when it is all there is."""
        if self._work.only is None:
            return self.offsets()
        return dict(self._again.positions) if self._again else {}

    async def _assign(self) -> None:
        if self._work.only is not None:
            return
        self._reader = self._open_reader()
        await self._reader.open()
        known = await self._deliveries.offsets()
        first = await self._reader.beginning_offsets()
        await claim_lost(self._histories, self._trackers, self._tracker.name, known, first)
        self._saved = {partition: known.get(partition, 0) for partition in first}
        starts = {partition: max(at, first[partition]) for partition, at in self._saved.items()}
        await self._reader.assign(starts)
        self._backlog = Backlog(starts)

    def _second_reading(self) -> CatchingUp:
        self.history = History(
            self._backlog,
            Means(
                self._tracker.name, self._histories, self._trackers, self._patience.store,
                can_delete=capabilities_of(self._tracker).can_delete, is_full=self._is_full,
            ),
        )  # fmt: skip
        self.history.on_records = self._start_ready
        again = CatchingUp(
            self._open_reader,
            self._backlog,
            target=self._second_target,
            is_full=self._is_full,
            caught_up=self._settle,
            gone=self._give_up,
            history=self.history,
        )
        again.on_records = self._start_ready
        return again

    def _second_target(self, partition: int) -> int | None:
        if self._work.only is None:
            return self._backlog.position(partition)
        return None if self._work.until is None else self._work.until[partition]

    def _is_full(self) -> bool:
        return self._backlog.bytes >= MAX_BACKLOG_BYTES

    def _is_done(self) -> bool:
        until = self._work.until
        if until is None or self._tasks or self._settling or self._backlog.behind():
            return False
        if self._work.only is not None:
            return not len(self._backlog)
        offsets = self._backlog.offsets()
        return all(offsets.get(partition, 0) >= end for partition, end in until.items()) and self._backlog.is_level()

    async def _read_again(self, behind: Mapping[str, Behind]) -> None:
        """Give runs to the second reading, those aside that it has, and those whose call is about to find out."""
        assert self._again is not None
        for run_id, (partition, offset) in behind.items():
            wanted = self._work.only is None or run_id in self._work.only
            if wanted and not self._backlog.is_behind(run_id) and not self._backlog.is_out(run_id):
                self._backlog.fall_behind(run_id, partition, offset)
        self._again.call()

    async def _settle(self, run_ids: Sequence[str]) -> None:
        """Write down that runs are behind no more; a call that begins meanwhile may still read the opposite."""
        self._settling.update(run_ids)
        await self._patience.store(lambda: self._trackers.caught_up(self._tracker.name, run_ids))
        self._settling.difference_update(run_ids)

    async def _give_up(self, reasons: Mapping[str, str]) -> None:
        await self._patience.store(lambda: self._trackers.park(self._tracker.name, reasons))
        for run_id, reason in reasons.items():
            log.warning("run %s is parked for %s: %s", run_id, self._tracker.name, reason)
            self._watch.delivery.parked()
            self._backlog.parked(run_id)

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
            records = self._backlog.start(run_id, max_records=CALL_RECORDS, max_bytes=CALL_BYTES)
            self.control.circuit.called()
            task = asyncio.create_task(self._deliver(run_id, records))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _next(self, now: float) -> list[str]:
        circuit, free = self.control.circuit, self._workers - len(self._tasks)
        if circuit.state == "closed":
            return self._backlog.ready(now, free)
        probe = self._backlog.steadiest(lambda run: circuit.admits(run, now)) if free > 0 else None
        return [] if probe is None else [probe]

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._broken = error
        elif self._broken is None:
            self._start_ready()

    async def _deliver(self, run_id: str, records: list[Record]) -> None:
        intent = Intent(run_id, records[0].partition, records[-1].offset + 1)
        settles = run_id in self._settling
        before = await self._patience.store(lambda: self._checkpoints.begin(intent))
        if before is None:
            self.control.circuit.left()
            self._backlog.parked(run_id)
            return
        settles = settles or run_id in self._settling
        if before.behind and not settles and not self._backlog.is_behind(run_id):
            self.control.circuit.left()
            await self._fall_behind(run_id, intent.partition, before.next_offset)
            return
        started = time.monotonic()
        try:
            call = asyncio.get_running_loop().run_in_executor
            brought = await call(self._threads, self._bring, run_id, records, before)
        except TrackerUnavailable as error:
            self._watch.failed("unavailable", str(error))
            self.control.failed(run_id, error)
            await self._postpone(run_id, before, str(error))
        except TrackerRefused as error:
            self._watch.failed("refused")
            self._answered()
            await self._park(run_id, before, str(error))
        except Exception as error:  # a plug-in's own code: its run is parked, the records stay in the log
            self._watch.failed("raised")
            log.exception("tracker %s raised for run %s", self._tracker.name, run_id)
            self._answered()
            await self._park(run_id, before, f"the tracker raised {type(error).__name__}: {error}")
        else:
            self._work.pace.spent(brought.points, time.monotonic())
            await self._keep(run_id, before, brought.progress._replace(behind=self._backlog.still_behind(run_id)))
            self.records, self.points = self.records + len(records), self.points + brought.points
            self._watch.delivered(records, time.monotonic() - started)
            self._watch.delivery.doubted(brought.doubted)
            self._took_at = time.monotonic()
            self._answered()
            if self._backlog.delivered(run_id):
                await self._settle([run_id])

    async def _fall_behind(self, run_id: str, partition: int, offset: int) -> None:
        assert self._again is not None
        self._backlog.fall_behind(run_id, partition, offset)
        self._again.call()

    def _answered(self) -> None:
        self.control.circuit.answered()
        if self._patience.up("tracker", f"{self._tracker.name} takes events again"):
            self._backlog.wake()

    async def _postpone(self, run_id: str, before: Progress, reason: str) -> None:
        failures = self._backlog.failures(run_id)
        if failures >= STUCK_FAILURES and self._is_in_the_way():
            await self._park(run_id, before, f"it failed {failures + 1} times in a row, the last: {reason}")
            return
        self._patience.down("tracker", f"{reason}: waiting for it")
        after = before._replace(status="waiting", error=reason)
        if after != before:
            await self._keep(run_id, before, after)
        self._backlog.postponed(run_id, time.monotonic() + retry_delay(failures, random.random()))

    def _is_in_the_way(self) -> bool:
        """Tell whether waiting records fill the backlog although the tracker takes those of other runs."""
        return self._is_full() and time.monotonic() - self._took_at < 3 * LAST_RETRY_S

    async def _park(self, run_id: str, before: Progress, reason: str) -> None:
        log.warning("run %s is parked for %s: %s", run_id, self._tracker.name, reason)
        self._watch.delivery.parked()
        await self._keep(run_id, before, before._replace(status="parked", error=reason, behind=False))
        self._backlog.parked(run_id)

    async def _keep(self, run_id: str, before: Progress, after: Progress) -> None:
        await self._patience.store(lambda: self._checkpoints.keep(Result(run_id, before, after)))

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

    async def _drain(self, beside: Sequence[asyncio.Task[None]]) -> None:
        """Wait for what is in flight: a thread that talks to a tracker must end before anybody starts it again."""
        self._workers = 0
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._save_offsets(now=True)
        self._threads.shutdown(wait=False)
        if self._reader is not None:
            await self._reader.close()
