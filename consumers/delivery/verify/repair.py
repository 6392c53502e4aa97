"""
Bring runs that differ again: first what was never delivered, then, whole, the runs that still differ.

A run that has to be written anew is set aside, so that no delivery touches it; its tracker makes ready for it
(`start_over`); its row begins at the run's first record again; and the same loop as for any replay brings it. Beside a
live delivery that one does the work. Each step may be killed and done again: a run set aside stays so until the next
repair, and one that begins anew goes on like any other. Runs that do not differ are not touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from consumers.delivery.background import background
from consumers.delivery.replay.replay import Replay, ReplayProgress, ReplayRequest
from consumers.delivery.replay.selection import RunSelection
from consumers.delivery.service import Connected, connected
from consumers.delivery.verify.verify import Verified, VerifyScope, verify
from consumers.store.delivery.repairs import Repairs
from consumers.trackers.protocol import State, can_start_over
from schemas.errors import TrackerRefused
from schemas.runtime.settings import Settings

ASIDE = "set aside for a repair that has not ended: `gateway verify --repair` goes on with it"
MOVING = "it is written to now, and may be equal by the time it rests: compare it again then"
REST_S = 1.0  # a run that nobody wrote to for so long, and that differs, is to be written anew
FREE_WITHIN_S = 30.0  # until a live delivery has ended its call for a run
POLL_S = 0.1
Show = Callable[[str, int, int | None], object]


class NotRepaired(NamedTuple):
    """A run that stays as it is, and why."""

    tracker: str
    run_id: str
    reason: str


@dataclass
class Repaired:
    """What a repair did."""

    read_on: dict[str, list[str]] = field(default_factory=dict)  # by tracker: runs that lacked what came last
    anew: dict[str, list[str]] = field(default_factory=dict)  # by tracker: runs written again from their first record
    left: list[NotRepaired] = field(default_factory=list)

    def look_again(self, verified: Verified) -> None:
        """Note runs that differ although they were written anew."""
        reason = "it differs although it was written anew: this tracker does not let go of what is too many or wrong"
        for name, runs in self.anew.items():
            differing = verified.places[name].differing
            self.left += [NotRepaired(name, run_id, reason) for run_id in runs if run_id in differing]

    def lines(self) -> list[str]:
        """Return it in words."""
        told = [f"{name}: {len(runs):,} runs read on with" for name, runs in self.read_on.items() if runs]
        told += [f"{name}: {len(runs):,} runs written anew: {_named(runs)}" for name, runs in self.anew.items() if runs]
        return told + [f"{one.tracker}, run {one.run_id}: not repaired: {one.reason}" for one in self.left]

    def to_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {"read_on": self.read_on, "anew": self.anew, "left": [one._asdict() for one in self.left]}


async def repair_differences(
    settings: Settings, verified: Verified, stopping: asyncio.Event, show: Show, say: Callable[[str], None]
) -> Repaired:
    """Repair what `verified` found, tracker by tracker, until done or `stopping` is set. Waits for services."""
    repaired = Repaired()
    gone = {one.run_id for one in verified.differences if one.what == "run" and one.expected != "there"}
    for name, place in verified.places.items():
        if not place.differing:
            continue
        reason = "PostgreSQL has no such run: remove it from the tracker with its own means"
        repaired.left += [NotRepaired(name, run_id, reason) for run_id in sorted(place.differing & gone)]
        if runs := sorted(place.differing - gone):
            async with connected(settings, name, say) as services:
                await _Repair(services, stopping, show, say).run(runs, repaired)
    return repaired


class _Repair:
    """One tracker's runs."""

    def __init__(self, services: Connected, stopping: asyncio.Event, show: Show, say: Callable[[str], None]) -> None:
        self._services, self._stopping, self._show, self._say = services, stopping, show, say
        self._name = services.tracker.name
        self._repairs = Repairs(services.database, self._name)

    async def run(self, runs: Sequence[str], repaired: Repaired) -> None:
        """Repair these runs, noting in `repaired` what was done."""
        await self._bring(runs)
        if self._stopping.is_set():
            return
        before = await self._repairs.positions(runs)
        await asyncio.sleep(REST_S)
        again = await verify(self._services.settings, VerifyScope([self._name], runs))
        after = await self._repairs.positions(runs)
        different = sorted(again.places[self._name].differing)
        repaired.read_on[self._name] = sorted({*runs} - {*different})
        still = [run_id for run_id in different if before.get(run_id) == after.get(run_id)]
        moving = sorted({*different} - {*still})  # may differ only because places were read one after the other
        repaired.left += [NotRepaired(self._name, run_id, MOVING) for run_id in moving]
        anew = await self._begin_anew(still, repaired)
        repaired.anew[self._name] = anew
        if anew:
            await self._bring(anew)

    async def _bring(self, runs: Sequence[str]) -> None:
        request, progress = ReplayRequest(RunSelection(tuple(runs))), ReplayProgress()

        async def show() -> None:
            while True:
                what = "repairing" if progress.state in ("starting", "replaying") else progress.state[:60]
                self._show(f"{self._name}: {what}", progress.done, progress.total or None)
                await asyncio.sleep(POLL_S)

        async with background(show()):
            await Replay(self._services, request, self._stopping, progress, self._say).run()

    async def _begin_anew(self, runs: Sequence[str], repaired: Repaired) -> list[str]:
        """Make runs begin at their first record; return which."""
        lost = await self._lost(runs)
        begun: list[str] = []
        async with AsyncExitStack() as stack:
            has_lease = not await self._services.trackers.is_delivering(self._name)
            if has_lease:
                await stack.enter_async_context(self._services.deliveries.lease(self._say))
            for run_id in runs:
                if self._stopping.is_set():
                    break
                reason = lost.get(run_id) or await self._one(run_id, has_lease=has_lease)
                if reason:
                    repaired.left.append(NotRepaired(self._name, run_id, reason))
                else:
                    begun.append(run_id)
        return begun

    async def _one(self, run_id: str, *, has_lease: bool) -> str:
        """Make one run begin anew; return why not."""
        tracker = self._services.tracker
        if not can_start_over(tracker):
            return f"the tracker {self._name} cannot write a run anew (it has no `start_over`)"
        state = await self._set_aside(run_id, has_lease=has_lease)
        if state is None:
            return f"a delivery was busy with it for {FREE_WITHIN_S:.0f} s: try again when it rests"
        try:
            fresh: State = await asyncio.to_thread(tracker.start_over, run_id, state)
        except TrackerRefused as error:
            return str(error)
        await self._repairs.start_over(run_id, fresh)
        return ""

    async def _set_aside(self, run_id: str, *, has_lease: bool) -> Mapping[str, Any] | None:
        deadline = monotonic() + FREE_WITHIN_S
        while (state := await self._repairs.set_aside(run_id, ASIDE, has_lease=has_lease)) is None:
            if monotonic() >= deadline:
                return None
            await asyncio.sleep(POLL_S)
        return state

    async def _lost(self, runs: Sequence[str]) -> dict[str, str]:
        """Return the runs that neither the log nor PostgreSQL has whole any more, with the reason."""
        first = (await self._services.bounds.ask()).first
        dropped = await self._services.histories.without_points(runs)
        return {
            run_id: "the log no longer has its first records, nor PostgreSQL its points: what the tracker holds was "
            "left as it is"
            for run_id, place in (await self._repairs.positions(runs)).items()
            if run_id in dropped and first.get(place.partition, 0) > (place.first_offset or 0)
        }


def _named(runs: Sequence[str]) -> str:
    more = f", and {len(runs) - 5:,} more" if len(runs) > 5 else ""
    return ", ".join(runs[:5]) + more
