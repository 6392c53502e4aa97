"""
One call to a tracker: the intent before it, the result after it, and what happens to the run.

A call that exceeds its timeout is recorded, and occupies its thread; see plugins/watchdog.py.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from typing import NamedTuple

from consumers.delivery.backfill.reread import Rereads, report_parked
from consumers.delivery.dispatch.checkpoints import Checkpoints
from consumers.delivery.dispatch.invoke import CallResult, TrackerInvoker
from consumers.delivery.dispatch.orders import Control
from consumers.delivery.flow.backlog import Backlog
from consumers.delivery.flow.circuit_breaker import LAST_RETRY_S, retry_delay
from consumers.delivery.flow.outages import OutageNotices
from consumers.delivery.flow.quarantine import ALONE, Quarantine
from consumers.delivery.flow.rate_limit import RateLimit
from consumers.delivery.plugins.threads import Threads, describe_error, error_text
from consumers.delivery.plugins.watchdog import TrackerHangs, hang_text
from consumers.log.record import Record
from consumers.store.delivery.checkpoints import Checkpoint, Intent, Result
from consumers.telemetry.instruments import DeliveryWatch
from schemas.errors import TrackerRefused, TrackerUnavailable

log = logging.getLogger("consumers.delivery")

STUCK_FAILURES = 10  # consecutive failures (about 30 s) after which a run that blocks the backlog is parked
FRESH_S = 5.0  # an intent older than this when the call begins is written again: this process was stopped in between
GIVE_UP = 5.0  # timeouts after which the process ends because of a call that hangs


class CallContext(NamedTuple):
    """What the calls of one delivery share with its loop."""

    tracker: str
    backlog: Backlog
    quarantine: Quarantine
    checkpoints: Checkpoints
    control: Control
    rereads: Rereads
    outages: OutageNotices
    rate_limit: RateLimit
    watch: DeliveryWatch


class HungCall(NamedTuple):
    """A call that exceeded its timeout."""

    since: float  # monotonic s
    text: str
    before: Checkpoint

    @property
    def times(self) -> int:
        """Number of consecutive calls of this run that never returned."""
        return self.before.unanswered + 1


class Calls:
    """Calls to one tracker, each for a different run."""

    def __init__(self, context: CallContext, invoker: TrackerInvoker, threads: Threads, call_s: float) -> None:
        """Call `invoker` in `threads`; a call of more than `call_s` seconds counts as one that hangs."""
        self._context, self._invoker, self._threads, self._call_s = context, invoker, threads, call_s
        self._accepted_at = float("-inf")  # when the tracker last accepted something
        self.under_way: set[str] = set()  # runs that a thread delivers now
        self.hung: dict[str, HungCall] = {}  # those of them that exceeded their timeout
        self._accused: set[str] = set()  # of `hung`: to be parked as soon as the tracker accepts another run's records
        self._parked: set[str] = set()  # of `hung`: parked already
        self.records = self.points = 0  # delivered since the start

    def stuck(self, threads: int, now: float) -> TrackerHangs | None:
        """Return why this process has to be restarted, if it has: all threads hang, or one call for too long."""
        if not self.hung:
            return None
        oldest = min(self.hung.values(), key=lambda one: one.since)
        if len(self.hung) >= threads:
            return TrackerHangs(f"{oldest.text}, and so do the other {threads - 1} threads")
        if now - oldest.since > GIVE_UP * self._call_s:
            return TrackerHangs(oldest.text)
        backlog = self._context.backlog
        if backlog.is_full:
            return TrackerHangs(f"{oldest.text}, and records that wait for it fill the memory for them")
        retried = [one for run, one in self.hung.items() if not backlog.is_in_call(run) and backlog.has_records(run)]
        return TrackerHangs(f"{retried[0].text}, and its run is to be tried again") if retried else None

    async def deliver(self, run_id: str, records: list[Record]) -> None:
        """Deliver records of one run. Raises Fenced when another process has this tracker or run."""
        context, intent = self._context, Intent(run_id, records[0].partition, records[-1].offset + 1)
        was_marking = context.rereads.is_marking(run_id)
        before = await context.outages.retry_store(lambda: context.checkpoints.begin(intent))
        if before is None:
            context.control.circuit.cancel_call()
            context.backlog.park(run_id)
            return
        is_marking = was_marking or context.rereads.is_marking(run_id)
        if before.rereading and not is_marking and not context.backlog.is_rereading(run_id):
            context.control.circuit.cancel_call()
            context.rereads.start(run_id, intent.partition, before.next_offset)
            return
        began = time.monotonic()
        try:
            result = await self._with_timeout(run_id, records, before)
        except _NotBegun:
            context.control.circuit.cancel_call()
            context.backlog.put_back(run_id)
        except _TooLate as late:
            log.info("%s, and returned after its run was parked: order a retry to try it again", late)
        except Exception as error:  # noqa: BLE001  # a plug-in's own: its run waits or is parked, the log keeps it
            await self._failed(run_id, before, error)
        else:
            await self._accepted(run_id, records, before, result)
            context.watch.delivered(records, time.monotonic() - began)

    async def _with_timeout(self, run_id: str, records: list[Record], before: Checkpoint) -> CallResult:
        """Return the result of the call, however late. Raises what the call raises."""
        began, clock = time.monotonic(), time.time()

        def invoke() -> CallResult:
            if time.monotonic() - began > FRESH_S:
                raise _NotBegun
            return self._invoker.deliver(run_id, records, before)

        call = self._threads.call(invoke)
        self.under_way.add(run_id)
        call.add_done_callback(lambda _: self.under_way.discard(run_id))
        done, _ = await asyncio.wait({call}, timeout=self._call_s)
        if done:
            return call.result()
        text = f"deliver of run {run_id} {hang_text(clock, self._call_s)}"
        self.hung[run_id] = HungCall(began, text, before)
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

    async def _hangs(self, run_id: str, call: HungCall) -> None:
        """Record a call that exceeded its timeout."""
        self._context.watch.failed("hung", call.text)
        self._context.control.record_failure(run_id, TrackerUnavailable(call.text))
        log.warning("%s: other runs continue", call.text)
        # The tracker may accept nothing at all: so no run is counted up to the number at which it would be parked
        # although no other run was answered.
        count = max(call.before.unanswered, min(call.times, ALONE))
        after = call.before._replace(status="waiting", error=call.text, unanswered=count)
        await self._keep(run_id, call.before, after)
        if call.times >= ALONE:
            self._accused.add(run_id)
            await self._park_hung()

    async def _park_hung(self) -> None:
        """Park runs that hang repeatedly while the tracker accepts those of others."""
        for run_id in [run for run in self._accused if self._accepted_at > self.hung[run].since]:
            if run_id not in self._accused:
                continue  # it returned in the meantime
            self._accused.remove(run_id)
            self._parked.add(run_id)
            call = self.hung[run_id]
            await self._park(run_id, call.before, f"{call.text}, {call.times} times in a row")

    async def _accepted(self, run_id: str, records: list[Record], before: Checkpoint, result: CallResult) -> None:
        context = self._context
        context.rate_limit.record(result.points, time.monotonic())
        after = result.progress._replace(rereading=context.backlog.still_rereading(run_id))
        await self._keep(run_id, before, after)
        self.records, self.points = self.records + len(records), self.points + result.points
        context.watch.delivery.redelivered(result.redelivered)
        self._accepted_at = time.monotonic()
        self._answered(run_id)
        if context.backlog.remove_delivered(run_id):
            await context.rereads.mark_caught_up([run_id])
        await self._park_hung()

    async def _failed(self, run_id: str, before: Checkpoint, error: Exception) -> None:
        context = self._context
        if isinstance(error, TrackerUnavailable):
            context.watch.failed("unavailable", error_text(error))
            context.control.record_failure(run_id, error)
            context.quarantine.release(run_id)
            await self._postpone(run_id, before, error_text(error))
        elif isinstance(error, TrackerRefused):
            context.watch.failed("refused")
            self._answered(run_id)
            await self._park(run_id, before, error_text(error))
        else:
            context.watch.failed("raised")
            # Not logged with exc_info: the text of the error may be of any size and in no encoding.
            stack = "".join(traceback.format_tb(error.__traceback__))
            log.error("tracker %s raised for run %s:\n%s%s", context.tracker, run_id, stack, describe_error(error))
            self._answered(run_id)
            await self._park(run_id, before, f"the tracker raised {describe_error(error)}")

    def _answered(self, run_id: str) -> None:
        context = self._context
        context.quarantine.release(run_id)
        context.control.circuit.record_answer(time.monotonic())
        if context.outages.report_back("tracker", f"{context.tracker} takes events again"):
            context.backlog.end_waits()

    async def _postpone(self, run_id: str, before: Checkpoint, why: str) -> None:
        context = self._context
        failures = context.backlog.failures(run_id)
        if failures >= STUCK_FAILURES and self._blocks_others():
            await self._park(run_id, before, f"it failed {failures + 1} times in a row, the last: {why}")
            return
        context.outages.report_down("tracker", f"{why}: waiting for it")
        after = before._replace(status="waiting", error=why, unanswered=0)
        await self._keep(run_id, before, after)
        context.backlog.postpone(run_id, time.monotonic() + retry_delay(failures, random.random()))

    def _blocks_others(self) -> bool:
        """Tell whether waiting records fill the backlog although the tracker accepts those of other runs."""
        return self._context.backlog.is_full and time.monotonic() - self._accepted_at < 3 * LAST_RETRY_S

    async def _park(self, run_id: str, before: Checkpoint, why: str) -> None:
        report_parked(self._context.tracker, run_id, why, self._context.watch)
        await self._keep(run_id, before, before._replace(status="parked", error=why, rereading=False))
        self._context.backlog.park(run_id)

    async def _keep(self, run_id: str, before: Checkpoint, after: Checkpoint) -> None:
        result = Result(run_id, before, after)
        await self._context.outages.retry_store(lambda: self._context.checkpoints.keep(result))


class _NotBegun(Exception):
    """A call waited too long for its thread: the intent may belong to another process by now."""


class _TooLate(Exception):
    """A call that hung returned after its run was parked."""
