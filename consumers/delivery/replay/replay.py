"""
Deliver history to a tracker, in the foreground: the same loop, checkpoints and tracker as the live delivery.

A replay of the whole log is what a delivery without checkpoints does anyway. Chosen runs are marked for a re-read
(backfill/catch_up.py). Only the process that holds the tracker's lease re-reads runs, so a replay during a live
delivery orders the work there, and shows its progress. A replay that was killed and is started again continues at each
run's checkpoint; a second one finds nothing to do. The next delivery, of whichever kind, continues from the same
checkpoints: no gap, no overlap.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from consumers.delivery.backfill.history import HistoryProgress
from consumers.delivery.background import background
from consumers.delivery.flow.rate_limit import RateLimit
from consumers.delivery.loop import Work
from consumers.delivery.plugins.watchdog import end_process
from consumers.delivery.replay.selection import RunSelection, chosen_runs
from consumers.delivery.service import Connected, open_delivery
from consumers.log.retry import until_available
from consumers.log.watermarks import has_reached
from consumers.telemetry.instruments import DeliveryWatch
from schemas.errors import BadSettings

POLL_S = 0.2


@dataclass
class ReplayProgress:
    """
    How far a replay is; it changes while the replay runs.

    `done` of `total` are counted in records of the log and events of histories; in runs while another process replays
    chosen runs.
    """

    total: int = 0
    done: int = 0
    records: int = 0  # that the tracker has taken
    points: int = 0
    runs: int | None = None  # chosen; None: all
    parked: int = 0
    state: str = "starting"
    is_watching: bool = False  # another process does the work
    is_complete: bool = False  # everything that was in the log at the start is delivered
    began: Mapping[int, int] = field(default_factory=dict)  # offset by partition
    histories: HistoryProgress = field(default_factory=HistoryProgress)  # runs that come from PostgreSQL
    without_points: Mapping[str, int] = field(default_factory=dict)  # by run: points that are stored nowhere any more


@dataclass(frozen=True)
class ReplayRequest:
    """What to replay."""

    choice: RunSelection
    follow: bool = False  # continue with new records
    points_per_s: float = math.inf


class Replay:
    """One request, carried out."""

    def __init__(
        self,
        services: Connected,
        request: ReplayRequest,
        stopping: asyncio.Event,
        progress: ReplayProgress,
        notify: Callable[[str], None],
    ) -> None:
        """Replay until `stopping` is set; keep `progress` up to date, and pass one line per outage to `notify`."""
        self._services, self._request, self._stopping = services, request, stopping
        self._progress, self._notify = progress, notify
        self._name = services.tracker.name
        self._runs: list[str] | None = None  # chosen; None: all

    async def run(self) -> None:
        """
        Deliver what was requested; return when all of it is delivered, or `stopping` is set.

        With `follow` it continues with new records. Raises BadSettings for a request that cannot be carried out.
        """
        if self._request.choice.is_narrow:
            self._runs = await chosen_runs(self._services.settings, self._services.database, self._request.choice)
            self._progress.runs = len(self._runs)
        if self._runs == []:
            self._notify("no run matches: see the runs with `gateway runs list`")
            self._progress.is_complete = True
            return
        while not self._stopping.is_set() and not self._progress.is_complete:
            await until_available(self._once, self._notify)
        self._progress.parked = (await self._services.trackers.progress(self._name, self._runs))[1]
        self._progress.without_points = await self._services.histories.dropped(self._runs)

    async def _once(self) -> None:
        services = self._services
        end = (await services.bounds.ask()).end
        if await services.trackers.is_delivering(self._name):
            if self._request.points_per_s < math.inf:
                raise BadSettings(
                    f"a process delivers to {self._name} now, and --throttle does not limit it: stop it first"
                )
            await self._watch_another(end)
            return
        async with services.deliveries.lease(self._notify) as lease:
            if self._runs is not None:
                await services.trackers.choose(self._name, services.settings.topic, self._runs, known=True)
            await self._deliver(end, lease.is_lost)

    async def _deliver(self, end: Mapping[int, int], is_lease_lost: Callable[[], bool]) -> None:
        progress, request = self._progress, self._request
        only = None if self._runs is None else frozenset(self._runs)
        work = Work(only, None if request.follow else end, RateLimit(request.points_per_s))
        give_up = partial(end_process, f"delivery {self._name}")
        before = progress.records, progress.points
        progress.state = _activity(progress)
        async with open_delivery(self._services, work, DeliveryWatch(self._name), give_up) as delivery:

            def update() -> None:
                progress.records, progress.points = before[0] + delivery.records, before[1] + delivery.points
                progress.histories = delivery.history_progress()
                _count(progress, delivery.positions(), end)
                progress.state = delivery.obstacle or _activity(progress)

            async with background(_repeat(update)):
                await delivery.run(self._stopping, update, is_lease_lost)
            update()
        progress.is_complete = not self._stopping.is_set()
        if progress.is_complete:
            progress.done = progress.total

    async def _watch_another(self, end: Mapping[int, int]) -> None:
        """Order the live delivery to do the work, and show its progress until it is done."""
        services, progress, runs = self._services, self._progress, self._runs
        self._notify(f"a process delivers to {self._name} already: it does the work, and this command watches")
        progress.is_watching, progress.state = True, "another process replays"
        if runs is not None:
            await services.trackers.choose(self._name, services.settings.topic, runs, known=False)
        while not self._stopping.is_set():
            if not await services.trackers.is_delivering(self._name):
                return  # its lease is free: the next turn does the rest
            if runs is None:
                offsets = await services.deliveries.offsets()
                _count(progress, offsets, end)
                left, _ = await services.trackers.progress(self._name)
                done = left == 0 and has_reached(offsets, end)
            else:
                left, _ = await services.trackers.progress(self._name, runs)
                progress.total, progress.done = len(runs), len(runs) - left
                done = left == 0
            if done and not self._request.follow:
                progress.is_complete = True
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), POLL_S)


def _count(progress: ReplayProgress, positions: Mapping[int, int], end: Mapping[int, int]) -> None:
    if not progress.began:
        progress.began = dict(positions)
    began, histories = progress.began, progress.histories
    progress.total = sum(max(0, end[part] - at) for part, at in began.items() if part in end) + histories.events
    moved = sum(max(0, min(positions.get(part, at), end.get(part, at)) - at) for part, at in began.items())
    progress.done = max(progress.done, min(moved + histories.given, progress.total))


def _activity(progress: ReplayProgress) -> str:
    runs, done = progress.histories[:2]
    return f"replaying, {done:,} of {runs:,} runs from PostgreSQL" if runs else "replaying"


async def _repeat(update: Callable[[], None]) -> None:
    while True:
        update()
        await asyncio.sleep(POLL_S)
