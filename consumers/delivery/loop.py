"""
Bring the log to one tracker: the same loop for all of them.

Read, queue by run, deliver runs in parallel threads, keep each run's checkpoint when its tracker has taken the records.
A tracker that is away costs waiting runs and nothing else; a run that its tracker refuses is parked with the reason.
What may go next is decided in backlog.py; this file does the waiting and the talking.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from consumers.delivery.backlog import Backlog, admit_records
from consumers.delivery.tracker import Tracker
from consumers.log import LogReader, Record
from consumers.operations.watches import DeliveryWatch
from consumers.store.deliveries import Deliveries, Progress
from schemas.errors import LogUnavailable, StoreUnavailable, TrackerRefused, TrackerUnavailable

T = TypeVar("T")
log = logging.getLogger("consumers.delivery")

PARALLEL_RUNS = 8
POLL_MS = 100  # an idle turn of the loop; a record that arrives ends it at once
FETCH_RECORDS = 2_000
CALL_RECORDS, CALL_BYTES = 500, 4 * 1024 * 1024  # of one run, handed to its tracker at once
MAX_BACKLOG_BYTES = 64 * 1024 * 1024  # read and undelivered; reading pauses above it
SAVE_OFFSETS_S = 0.2
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 10.0
STUCK_FAILURES = 10  # about half a minute: so often a run alone may fail before it must make room
CHECK_LOG_S = 5.0
STORE_RETRY_S = 0.2


def retry_delay(failures: int, jitter: float) -> float:
    """Return the seconds to wait after so many failures in a row; `jitter` from 0 to 1 spreads runs over half of it."""
    return min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(failures, 20)) * (0.5 + jitter / 2)


class Delivery:
    """One tracker's loop. `run` returns when `stopping` is set and what was in flight is done."""

    def __init__(
        self,
        tracker: Tracker,
        reader: LogReader,
        deliveries: Deliveries,
        watch: DeliveryWatch | None = None,
        *,
        workers: int = PARALLEL_RUNS,
    ) -> None:
        self._watch = watch or DeliveryWatch(tracker.name)
        self._tracker, self._reader, self._deliveries = tracker, reader, deliveries
        self._workers = workers
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=f"deliver-{tracker.name}")
        self._backlog = Backlog({})
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._saved: dict[int, int] = {}
        self._next_save = self._next_check = 0.0
        self._took_at = float("-inf")  # when the tracker last took something
        self._down: set[str] = set()  # services that are away, each told once

    async def run(self, stopping: asyncio.Event, ready: Callable[[], None], lost: Callable[[], bool]) -> None:
        """
        Deliver until told to stop; `ready` is called once reading has begun, `lost` tells that the lease is gone.

        Raises LogGap, LogUnavailable and StoreUnavailable at the start, Fenced when another process delivers too.
        """
        try:
            await self._assign()
            ready()
            while not stopping.is_set():
                if self._broken is not None:
                    raise self._broken
                if lost():
                    raise StoreUnavailable("the connection that holds the lease was closed")
                await self._read()
                self._start_ready()
                await self._save_offsets()
                self._watch.delivery.holding(self._backlog.bytes, len(self._tasks))
        finally:
            await self._drain()

    def offsets(self) -> dict[int, int]:
        """Return by partition the offset below which everything was delivered, or is parked with its run."""
        return dict(self._backlog.offsets())

    async def _assign(self) -> None:
        known = await self._deliveries.offsets()
        first = await self._reader.beginning_offsets()
        # A partition that was never read starts at its first record: there is nothing this tracker missed.
        self._saved = {partition: known.get(partition, first[partition]) for partition in first}
        await self._reader.assign(self._saved)
        self._backlog = Backlog(self._saved)

    async def _read(self) -> None:
        if self._backlog.bytes >= MAX_BACKLOG_BYTES:
            await asyncio.sleep(POLL_MS / 1000)
            return
        records = await self._reader.fetch(timeout_ms=POLL_MS, max_records=FETCH_RECORDS)
        self._backlog.take_in(records)
        now = time.monotonic()
        if records:
            self._next_check = now + CHECK_LOG_S
        elif now >= self._next_check:
            self._next_check = now + CHECK_LOG_S
            await self._check_log()

    async def _check_log(self) -> None:
        """Say once that Kafka is away, and once that it is back; `fetch` itself just finds nothing."""
        try:
            await self._reader.end_offsets()
        except LogUnavailable as error:
            self._say_down("log", f"{error}: waiting for it")
        else:
            self._say_up("log", "Kafka is back")

    def _start_ready(self) -> None:
        free = self._workers - len(self._tasks)
        for run_id in self._backlog.ready(time.monotonic(), free):
            records = self._backlog.start(run_id, max_records=CALL_RECORDS, max_bytes=CALL_BYTES)
            task = asyncio.create_task(self._deliver(run_id, records))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._broken = error
        elif self._broken is None:
            self._start_ready()

    async def _deliver(self, run_id: str, records: list[Record]) -> None:
        partition = records[0].partition
        before = (await self._patiently(lambda: self._deliveries.load([run_id]))).get(run_id)
        known = before or Progress()
        if known.status == "parked":
            self._backlog.parked(run_id)
            return
        started = time.monotonic()
        try:
            call = asyncio.get_running_loop().run_in_executor
            after = await call(self._threads, _bring, self._tracker, run_id, records, known)
        except TrackerUnavailable as error:
            self._watch.failed("unavailable", str(error))
            await self._postpone(run_id, partition, before, str(error))
        except TrackerRefused as error:
            self._watch.failed("refused")
            await self._park(run_id, partition, before, str(error))
        except Exception as error:  # a plug-in's own code: its run is parked, the records stay in the log
            self._watch.failed("raised")
            log.exception("tracker %s raised for run %s", self._tracker.name, run_id)
            await self._park(run_id, partition, before, f"the tracker raised {type(error).__name__}: {error}")
        else:
            if after != before:
                await self._keep(run_id, partition, before, after)
            self._backlog.delivered(run_id)
            self._watch.delivered(records, time.monotonic() - started)
            self._took_at = time.monotonic()
            if self._say_up("tracker", f"{self._tracker.name} takes events again"):
                self._backlog.wake()

    async def _postpone(self, run_id: str, partition: int, before: Progress | None, reason: str) -> None:
        failures = self._backlog.failures(run_id)
        if failures >= STUCK_FAILURES and self._is_in_the_way():
            await self._park(run_id, partition, before, f"it failed {failures + 1} times in a row, the last: {reason}")
            return
        self._say_down("tracker", f"{reason}: waiting for it")
        after = (before or Progress())._replace(status="waiting", error=reason)
        if after != before:
            await self._keep(run_id, partition, before, after)
        self._backlog.postponed(run_id, time.monotonic() + retry_delay(failures, random.random()))

    def _is_in_the_way(self) -> bool:
        """Tell whether waiting records fill the backlog although the tracker takes those of other runs."""
        return self._backlog.bytes >= MAX_BACKLOG_BYTES and time.monotonic() - self._took_at < 3 * LAST_RETRY_S

    async def _park(self, run_id: str, partition: int, before: Progress | None, reason: str) -> None:
        log.warning("run %s is parked for %s: %s", run_id, self._tracker.name, reason)
        self._watch.delivery.parked()
        after = (before or Progress())._replace(status="parked", error=reason)
        await self._keep(run_id, partition, before, after)
        self._backlog.parked(run_id)

    async def _keep(self, run_id: str, partition: int, before: Progress | None, after: Progress) -> None:
        await self._patiently(lambda: self._deliveries.save(run_id, partition, before, after))

    async def _save_offsets(self, *, now: bool = False) -> None:
        if not now and time.monotonic() < self._next_save:
            return
        self._next_save = time.monotonic() + SAVE_OFFSETS_S
        offsets = self._backlog.offsets()
        changed = {partition: offset for partition, offset in offsets.items() if offset != self._saved.get(partition)}
        if not changed:
            return
        try:
            await self._deliveries.save_offsets(changed)
        except StoreUnavailable:
            return  # they only shorten the next start; the next turn tries again
        self._saved.update(changed)

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the store until it answers: what a tracker took must be written down before anything else happens."""
        while True:
            try:
                answer = await ask()
            except StoreUnavailable as error:
                self._watch.waiting(str(error))
                self._say_down("store", f"{error}: waiting for it")
                await asyncio.sleep(STORE_RETRY_S)
            else:
                self._say_up("store", "PostgreSQL is back")
                return answer

    async def _drain(self) -> None:
        """Wait for what is in flight: a thread that talks to a tracker must end before anybody starts it again."""
        self._workers = 0
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._save_offsets(now=True)
        self._threads.shutdown(wait=False)

    def _say_down(self, service: str, text: str) -> None:
        if service not in self._down:
            self._down.add(service)
            log.warning("%s", text)

    def _say_up(self, service: str, text: str) -> bool:
        if service not in self._down:
            return False
        self._down.discard(service)
        log.info("%s", text)
        return True


def _bring(tracker: Tracker, run_id: str, records: list[Record], before: Progress) -> Progress:
    """Hand the new batches of a run to its tracker and return the progress to keep. Runs in a thread."""
    batches, after = admit_records(records, before)
    if batches:
        state = tracker.deliver(run_id, batches, before.state)
        if not isinstance(state, Mapping):
            raise TypeError(f"deliver returned {type(state).__name__}, not a JSON object")
        after = after._replace(state=json.loads(json.dumps(dict(state), allow_nan=False)))
    return after._replace(status="delivering", error="")
