"""
Bring history to a tracker, in the foreground: the same loop, checkpoints and tracker as the live delivery.

The whole log is what a delivery does anyway that begins anew. Chosen runs are marked as behind and get a reading of the
log of their own (catching_up.py); whoever holds the tracker's lease does that, so a replay beside a live delivery only
orders it, and watches. Killed and started again it goes on at each run's checkpoint; run again it finds nothing to do.
Whichever delivery comes next goes on from the same checkpoints: no gap, no overlap.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from consumers.delivery.backfill.history import Counts
from consumers.delivery.flow.rate_limit import Pace
from consumers.delivery.loop import Delivery, Work
from consumers.delivery.replay.selection import Choice, chosen_runs
from consumers.delivery.service import Connected
from consumers.log.retry import until_available
from consumers.telemetry.instruments import DeliveryWatch
from schemas.errors import BadSettings

POLL_S = 0.2


@dataclass
class Told:
    """How far a replay is, as it goes. Records of the log, and events of histories, are what is counted to the end."""

    total: int = 0  # to look at
    done: int = 0
    records: int = 0  # that the tracker took
    points: int = 0
    runs: int | None = None  # chosen; None: all
    parked: int = 0
    state: str = "starting"
    is_watching: bool = False  # another process does the work
    is_complete: bool = False  # everything that was in the log at the start is delivered
    began: Mapping[int, int] = field(default_factory=dict)  # offset by partition
    histories: Counts = field(default_factory=Counts)  # runs that the log has not whole: they come from PostgreSQL
    without_points: Mapping[str, int] = field(default_factory=dict)  # by run: points that nobody has any more


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    choice: Choice
    follow: bool = False
    points_per_s: float = math.inf


class Replay:
    """One wish, carried out. `told` says how far it is."""

    def __init__(
        self, services: Connected, wish: Wish, stopping: asyncio.Event, told: Told, say: Callable[[str], None]
    ) -> None:
        self._services, self._wish, self._stopping, self._told, self._say = services, wish, stopping, told, say
        self._name = services.tracker.name
        self._runs: list[str] | None = None  # chosen; None: all

    async def run(self) -> None:
        """
        Bring what is wished for; return when all of it is there, or `stopping` is set.

        With `follow` it goes on with what comes. Raises BadSettings for a wish that does not fit.
        """
        if self._wish.choice.is_narrow:
            self._runs = await chosen_runs(self._services.settings, self._services.database, self._wish.choice)
            self._told.runs = len(self._runs)
        if self._runs == []:
            self._say("no run fits: see what there is with `gateway runs list`")
            self._told.is_complete = True
            return
        while not self._stopping.is_set() and not self._told.is_complete:
            await until_available(self._once, self._say)
        self._told.parked = (await self._services.trackers.progress(self._name, self._runs))[1]
        self._told.without_points = await self._services.histories.dropped(self._runs)

    async def _once(self) -> None:
        services = self._services
        end = (await services.bounds.ask()).end
        if await services.trackers.is_delivering(self._name):
            if self._wish.points_per_s < math.inf:
                raise BadSettings(
                    f"a process delivers to {self._name} now, and --throttle cannot hold it back: stop it first"
                )
            await self._watch_another(end)
            return
        async with services.deliveries.lease(self._say) as lease:
            if self._runs is not None:
                await services.trackers.choose(self._name, services.settings.topic, self._runs, known=True)
            await self._deliver(end, lease.is_closed)

    async def _deliver(self, end: Mapping[int, int], lost: Callable[[], bool]) -> None:
        services, told, wish = self._services, self._told, self._wish
        only = None if self._runs is None else frozenset(self._runs)
        work = Work(only, None if wish.follow else end, Pace(wish.points_per_s))
        watch = DeliveryWatch(self._name)
        delivery = Delivery(
            services.tracker, services.reader, services.deliveries, services.trackers, services.histories, watch, work,
            call_s=services.call_s,
        )  # fmt: skip
        before = told.records, told.points

        def look() -> None:
            told.records, told.points = before[0] + delivery.records, before[1] + delivery.points
            told.histories = delivery.histories()
            _tell(told, delivery.positions(), end)
            told.state = "paused" if delivery.control.is_paused else delivery.control.circuit.error or _doing(told)

        async with _looking(look):
            await delivery.run(self._stopping, look, lost)
        look()
        told.is_complete = not self._stopping.is_set()
        if told.is_complete:
            told.done = told.total

    async def _watch_another(self, end: Mapping[int, int]) -> None:
        """Order the live delivery to do it, and watch until it has."""
        services, told, runs = self._services, self._told, self._runs
        self._say(f"a process delivers to {self._name} already: it does the work, and this command watches")
        told.is_watching, told.state = True, "another process replays"
        if runs is not None:
            await services.trackers.choose(self._name, services.settings.topic, runs, known=False)
        while not self._stopping.is_set():
            if not await services.trackers.is_delivering(self._name):
                return  # its lease is free: the next turn does the rest
            if runs is None:
                offsets = await services.deliveries.offsets()
                _tell(told, offsets, end)
                left, _ = await services.trackers.progress(self._name)
                done = left == 0 and all(offsets.get(partition, 0) >= at for partition, at in end.items())
            else:
                left, _ = await services.trackers.progress(self._name, runs)
                told.total, told.done = len(runs), len(runs) - left
                done = left == 0
            if done and not self._wish.follow:
                told.is_complete = True
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), POLL_S)


def _tell(told: Told, positions: Mapping[int, int], end: Mapping[int, int]) -> None:
    if not told.began:
        told.began = dict(positions)
    told.total = sum(max(0, end[part] - at) for part, at in told.began.items() if part in end) + told.histories.events
    moved = sum(max(0, min(positions.get(part, at), end.get(part, at)) - at) for part, at in told.began.items())
    moved += told.histories.given
    told.done = max(told.done, min(moved, told.total))


def _doing(told: Told) -> str:
    runs, done = told.histories[:2]
    return f"replaying, {done:,} of {runs:,} runs from PostgreSQL" if runs else "replaying"


@asynccontextmanager
async def _looking(look: Callable[[], None]) -> AsyncIterator[None]:
    async def repeatedly() -> None:
        while True:
            look()
            await asyncio.sleep(POLL_S)

    task = asyncio.create_task(repeatedly())
    try:
        yield
    finally:
        task.cancel()
