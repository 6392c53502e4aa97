"""
Start calls for the runs that may go next, as long as threads are free, and wait for calls under way at the end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from consumers.delivery.dispatch.calls import CallContext, Calls
from consumers.delivery.plugins.watchdog import TrackerHangs

CALL_RECORDS, CALL_BYTES = 500, 4 * 1024 * 1024  # of one run, passed to its tracker in one call
POLL_S = 0.1
LOST_DRAIN_S = 5.0  # limit for calls under way when another process may take over


class Dispatcher:
    """The calls of one delivery that are under way, and the choice of the next ones."""

    def __init__(
        self,
        calls: Calls,
        context: CallContext,
        *,
        workers: int,
        call_bytes: int,
        give_up: Callable[[TrackerHangs], object],
    ) -> None:
        """
        Start at most `workers` calls at the same time, each of at most `call_bytes` bytes of records.

        `give_up` ends the process because of calls that hang: their threads cannot be ended otherwise.
        """
        self._calls, self._context, self._call_bytes, self._give_up = calls, context, call_bytes, give_up
        self._workers = workers
        self._tasks: dict[asyncio.Task[None], str] = {}  # with their runs
        self._error: BaseException | None = None

    @property
    def records(self) -> int:
        """Records delivered since the start."""
        return self._calls.records

    @property
    def points(self) -> int:
        """Points delivered since the start."""
        return self._calls.points

    @property
    def under_way(self) -> int:
        """Number of calls under way."""
        return len(self._tasks)

    def raise_error(self) -> None:
        """Raise what a call raised that ends the delivery: another process has this tracker, or one of its runs."""
        if self._error is not None:
            raise self._error

    def check_hung(self) -> None:
        """Give up the process when calls that hang leave no other choice."""
        if (why := self._calls.stuck(self._workers, time.monotonic())) is not None:
            self._give_up(why)

    def start_ready(self) -> None:
        """Start a call for each run that may go next."""
        now, context = time.monotonic(), self._context
        if context.control.is_paused or context.rate_limit.delay(now) > 0:
            return
        for run_id in self._next(now):
            divisor = context.quarantine.size_divisor(run_id)
            most = {"max_records": max(1, CALL_RECORDS // divisor), "max_bytes": self._call_bytes // divisor}
            records = context.backlog.hand_out(run_id, **most)
            context.control.circuit.start_call()
            task = asyncio.create_task(self._calls.deliver(run_id, records))
            self._tasks[task] = run_id
            task.add_done_callback(self._finished)

    def stop(self) -> None:
        """Start no more calls."""
        self._workers = 0

    async def drain(self, is_lease_lost: Callable[[], bool]) -> None:
        """
        Return when no call is under way.

        A thread that calls a tracker must end before any other process calls it. Once the lease is lost, another
        process may take over: then calls that do not end within LOST_DRAIN_S end this process.
        """
        began, calls = time.monotonic(), self._calls
        while self._tasks:
            if len(calls.hung) == len(self._tasks):
                self._give_up(TrackerHangs(next(iter(calls.hung.values())).text))
            if calls.under_way and is_lease_lost() and time.monotonic() - began > LOST_DRAIN_S:
                runs = ", ".join(sorted(calls.under_way))
                self._give_up(TrackerHangs(f"the lease is gone, and calls are still under way for {runs}"))
            await asyncio.wait(self._tasks, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED)

    def _next(self, now: float) -> list[str]:
        context, hung, free = self._context, self._calls.hung, self._workers - len(self._tasks)
        circuit, backlog, quarantine = context.control.circuit, context.backlog, context.quarantine
        if free <= 0:
            return []
        if circuit.state != "closed":
            probe = backlog.probe_candidate(
                lambda run: run not in hung and circuit.admits(run, now), quarantine.unanswered
            )
            return [] if probe is None else [probe]
        ready = [run for run in backlog.ready(now, free + len(hung) + len(quarantine)) if run not in hung]
        calling = [run for run in self._tasks.values() if run not in hung]
        return quarantine.choose(ready, calling, free, now)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            self._error = error
        elif self._error is None:
            self.start_ready()
