"""
One call to a tracker: the intent before it, the result after it, and what becomes of the run.

A call that does not end within its bound is noted, and holds its thread; see hanging.py.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

from consumers.delivery.backfill.reread import ReadAgain
from consumers.delivery.dispatch.checkpoints import Checkpoints
from consumers.delivery.dispatch.invoke import Bringing, Brought
from consumers.delivery.dispatch.orders import Control
from consumers.delivery.flow.backlog import Backlog
from consumers.delivery.flow.circuit_breaker import LAST_RETRY_S, retry_delay
from consumers.delivery.flow.outages import Patience
from consumers.delivery.flow.quarantine import ALONE, Suspects
from consumers.delivery.flow.rate_limit import Pace
from consumers.delivery.plugins.threads import Threads, reason, words
from consumers.delivery.plugins.watchdog import TrackerHangs, since
from consumers.log.record import Record
from consumers.store.delivery.checkpoints import Checkpoint, Intent, Result
from consumers.telemetry.instruments import DeliveryWatch
from schemas.errors import TrackerRefused, TrackerUnavailable

log = logging.getLogger("consumers.delivery")

STUCK_FAILURES = 10  # about half a minute: so often a run alone may fail before it must make room
FRESH_S = 5.0  # an intent older than this when the call begins is written anew: this process was stopped meanwhile
GIVE_UP = 5.0  # bounds after which the process ends that holds a call which hangs


class Means(NamedTuple):
    """What the calls of one delivery share with its loop."""

    tracker: str
    checkpoints: Checkpoints
    control: Control
    patience: Patience
    watch: DeliveryWatch
    again: ReadAgain
    pace: Pace


class Hung(NamedTuple):
    """A call that went beyond its bound."""

    since: float  # monotonic s
    text: str
    before: Checkpoint

    @property
    def times(self) -> int:
        """How many calls of this run in a row never came back."""
        return self.before.unanswered + 1


class Calls:
    """Calls to one tracker, each for a run of its own."""

    def __init__(
        self, means: Means, bring: Bringing, threads: Threads, call_s: float, is_full: Callable[[], bool]
    ) -> None:
        self._means, self._bring, self._threads, self._call_s = means, bring, threads, call_s
        self._is_full = is_full
        self._backlog = Backlog({})
        self._suspects = Suspects({}, 0.0, call_s=call_s, threads=1)
        self._took_at = float("-inf")  # when the tracker last took something
        self.under_way: set[str] = set()  # runs that a thread brings to the tracker now
        self.hung: dict[str, Hung] = {}  # those of them for longer than they may
        self._accused: set[str] = set()  # of those, runs that are parked as soon as the tracker takes another's records
        self._parked: set[str] = set()  # of those, runs that are parked
        self.records = self.points = 0  # delivered since the start

    def prepare(self, backlog: Backlog, suspects: Suspects) -> None:
        """Serve this backlog from now on."""
        self._backlog, self._suspects = backlog, suspects

    def stuck(self, threads: int, now: float) -> TrackerHangs | None:
        """Return why this process has to be started again, if it has: all threads hang, or a call for too long."""
        if not self.hung:
            return None
        oldest = min(self.hung.values(), key=lambda one: one.since)
        if len(self.hung) >= threads:
            return TrackerHangs(f"{oldest.text}, and so do the other {threads - 1} threads")
        if now - oldest.since > GIVE_UP * self._call_s:
            return TrackerHangs(oldest.text)
        if self._is_full():
            return TrackerHangs(f"{oldest.text}, and records that wait for it fill the memory for them")
        wanted = [one for run, one in self.hung.items() if not self._backlog.is_out(run) and self._backlog.has(run)]
        return TrackerHangs(f"{wanted[0].text}, and its run is to be tried again") if wanted else None

    async def __call__(self, run_id: str, records: list[Record]) -> None:
        """Bring records of one run. Raises Fenced when another process has this tracker or run."""
        intent = Intent(run_id, records[0].partition, records[-1].offset + 1)
        means, settles = self._means, self._means.again.is_settling(run_id)
        before = await means.patience.store(lambda: means.checkpoints.begin(intent))
        if before is None:
            means.control.circuit.left()
            self._backlog.parked(run_id)
            return
        settles = settles or means.again.is_settling(run_id)
        if before.rereading and not settles and not self._backlog.is_behind(run_id):
            means.control.circuit.left()
            means.again.fall_behind(run_id, intent.partition, before.next_offset)
            return
        began = time.monotonic()
        try:
            brought = await self._bounded(run_id, records, before)
        except _NotBegun:
            means.control.circuit.left()
            self._backlog.put_back(run_id)
        except _TooLate as late:
            log.info("%s, and came back after its run was parked: it is tried again when that is ordered", late)
        except Exception as error:  # noqa: BLE001  # a plug-in's own: its run waits or is parked, the log keeps it
            await self._failed(run_id, before, error)
        else:
            await self._took(run_id, records, before, brought)
            means.watch.delivered(records, time.monotonic() - began)

    async def _bounded(self, run_id: str, records: list[Record], before: Checkpoint) -> Brought:
        """Return what the call brought, however late. Raises what it raises."""
        began, clock = time.monotonic(), time.time()

        def bring() -> Brought:
            if time.monotonic() - began > FRESH_S:
                raise _NotBegun
            return self._bring(run_id, records, before)

        call = self._threads.call(bring)
        self.under_way.add(run_id)
        call.add_done_callback(lambda _: self.under_way.discard(run_id))
        done, _ = await asyncio.wait({call}, timeout=self._call_s)
        if done:
            return call.result()
        text = f"deliver of run {run_id} {since(clock, self._call_s)}"
        self.hung[run_id] = Hung(began, text, before)
        try:
            await self._hangs(run_id, self.hung[run_id])
            await asyncio.wait({call})
            is_parked = run_id in self._parked
        finally:
            del self.hung[run_id]
            self._accused.discard(run_id)
            self._parked.discard(run_id)
        if is_parked:
            raise _TooLate(text)
        return call.result()

    async def _hangs(self, run_id: str, call: Hung) -> None:
        """Note a call that goes on beyond its bound."""
        self._means.watch.failed("hung", call.text)
        self._means.control.failed(run_id, TrackerUnavailable(call.text))
        log.warning("%s: other runs go on", call.text)
        # It may be the tracker that takes nothing at all: so no run is counted up to where it would be parked unheard.
        count = max(call.before.unanswered, min(call.times, ALONE))
        after = call.before._replace(status="waiting", error=call.text, unanswered=count)
        await self._keep(run_id, call.before, after)
        if call.times >= ALONE:
            self._accused.add(run_id)
            await self._park_hung()

    async def _park_hung(self) -> None:
        """Park runs that hang again and again while the tracker takes those of others."""
        for run_id in [run for run in self._accused if self._took_at > self.hung[run].since]:
            if run_id not in self._accused:
                continue  # it came back meanwhile
            self._accused.remove(run_id)
            self._parked.add(run_id)
            call = self.hung[run_id]
            await self._park(run_id, call.before, f"{call.text}, {call.times} times in a row")

    async def _took(self, run_id: str, records: list[Record], before: Checkpoint, brought: Brought) -> None:
        means = self._means
        means.pace.spent(brought.points, time.monotonic())
        await self._keep(run_id, before, brought.progress._replace(rereading=self._backlog.still_behind(run_id)))
        self.records, self.points = self.records + len(records), self.points + brought.points
        means.watch.delivery.redelivered(brought.doubted)
        self._took_at = time.monotonic()
        self._answered(run_id)
        if self._backlog.delivered(run_id):
            await means.again.settle([run_id])
        await self._park_hung()

    async def _failed(self, run_id: str, before: Checkpoint, error: Exception) -> None:
        means = self._means
        if isinstance(error, TrackerUnavailable):
            means.watch.failed("unavailable", reason(error))
            means.control.failed(run_id, error)
            self._suspects.answered(run_id)
            await self._postpone(run_id, before, reason(error))
        elif isinstance(error, TrackerRefused):
            means.watch.failed("refused")
            self._answered(run_id)
            await self._park(run_id, before, reason(error))
        else:
            means.watch.failed("raised")
            where = "".join(traceback.format_tb(error.__traceback__))  # its text may be of any size and in no encoding
            log.error("tracker %s raised for run %s:\n%s%s", means.tracker, run_id, where, words(error))
            self._answered(run_id)
            await self._park(run_id, before, f"the tracker raised {words(error)}")

    def _answered(self, run_id: str) -> None:
        self._suspects.answered(run_id)
        self._means.control.circuit.answered(time.monotonic())
        if self._means.patience.up("tracker", f"{self._means.tracker} takes events again"):
            self._backlog.wake()

    async def _postpone(self, run_id: str, before: Checkpoint, why: str) -> None:
        failures = self._backlog.failures(run_id)
        if failures >= STUCK_FAILURES and self._is_in_the_way():
            await self._park(run_id, before, f"it failed {failures + 1} times in a row, the last: {why}")
            return
        self._means.patience.down("tracker", f"{why}: waiting for it")
        after = before._replace(status="waiting", error=why, unanswered=0)
        await self._keep(run_id, before, after)
        self._backlog.postponed(run_id, time.monotonic() + retry_delay(failures, random.random()))

    def _is_in_the_way(self) -> bool:
        """Tell whether waiting records fill the backlog although the tracker takes those of other runs."""
        return self._is_full() and time.monotonic() - self._took_at < 3 * LAST_RETRY_S

    async def _park(self, run_id: str, before: Checkpoint, why: str) -> None:
        log.warning("run %s is parked for %s: %s", run_id, self._means.tracker, why)
        self._means.watch.delivery.parked()
        await self._keep(run_id, before, before._replace(status="parked", error=why, rereading=False))
        self._backlog.parked(run_id)

    async def _keep(self, run_id: str, before: Checkpoint, after: Checkpoint) -> None:
        await self._means.patience.store(lambda: self._means.checkpoints.keep(Result(run_id, before, after)))


class _NotBegun(Exception):
    """A call waited too long for its thread: the intent may be somebody else's by now."""


class _TooLate(Exception):
    """A call that hung came back after its run was parked."""
