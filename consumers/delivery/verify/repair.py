"""
Repair runs that differ: first deliver what was never delivered, then rewrite the runs that still differ.

A run to rewrite is set aside, so that no delivery touches it. Its tracker prepares for it (`start_over`), its row
begins at the run's first record again, and the same loop as for any replay delivers it. A run that differs even then,
because its tracker keeps something for good, is made again where the tracker can do that (`replace`). While a live
delivery runs, that one does the work. Each step may be killed and repeated: a run that is set aside stays so until the
next repair, and a run that begins again continues like any other. Runs that do not differ are not touched.
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
from consumers.delivery.verify.verify import VerifyResult, VerifyScope, verify
from consumers.store.delivery.repairs import Repairs
from consumers.trackers.protocol import State, can_replace, can_start_over
from schemas.errors import TrackerRefused
from schemas.runtime.settings import Settings

SET_ASIDE = "set aside for a repair that has not ended: continue it with `gateway verify --repair`"
MOVING = "training writes to it now, and it may be equal when that ends: compare it again then"
REST_S = 1.0  # a run that differs and had no new records for this long is rewritten
FREE_WITHIN_S = 30.0  # limit of the wait for a live delivery to end its call for a run
POLL_S = 0.1
Prepare = Callable[[str, State], State]
Show = Callable[[str, int, int | None], object]


class NotRepaired(NamedTuple):
    """A run that stays as it is, with the reason."""

    tracker: str
    run_id: str
    reason: str


@dataclass
class RepairResult:
    """What a repair did, by tracker."""

    resumed: dict[str, list[str]] = field(default_factory=dict)  # runs that lacked their last records
    rewritten: dict[str, list[str]] = field(default_factory=dict)  # runs delivered again from their first record
    not_repaired: list[NotRepaired] = field(default_factory=list)

    def add_unchanged(self, verified: VerifyResult) -> None:
        """Note the runs that still differ although they were rewritten."""
        reason = "it differs although it was rewritten: this tracker does not remove what is unexpected or wrong"
        for name, runs in self.rewritten.items():
            differing = verified.places[name].differing
            self.not_repaired += [NotRepaired(name, run_id, reason) for run_id in runs if run_id in differing]

    def lines(self) -> list[str]:
        """Return the result in words."""
        lines = [f"{name}: {len(runs):,} runs resumed" for name, runs in self.resumed.items() if runs]
        for name, runs in self.rewritten.items():
            if runs:
                lines.append(f"{name}: {len(runs):,} runs rewritten: {_named(runs)}")
        return lines + [f"{one.tracker}, run {one.run_id}: not repaired: {one.reason}" for one in self.not_repaired]

    def to_json(self) -> dict[str, Any]:
        """Return the result as `--json` prints it."""
        left = [one._asdict() for one in self.not_repaired]
        return {"read_on": self.resumed, "anew": self.rewritten, "left": left}  # words: ok


async def repair_differences(
    settings: Settings, verified: VerifyResult, stopping: asyncio.Event, show: Show, notify: Callable[[str], None]
) -> RepairResult:
    """
    Repair what `verified` found, tracker by tracker, until done or `stopping` is set; wait for services that are away.

    `show` gets an activity, and how much of it is done and in total; `notify` gets one line per notice.
    """
    result = RepairResult()
    gone = {one.run_id for one in verified.differences if one.what == "run" and one.expected != "there"}
    for name, place in verified.places.items():
        if not place.differing:
            continue
        reason = "PostgreSQL has no such run: remove it from the tracker with its own tools"
        result.not_repaired += [NotRepaired(name, run_id, reason) for run_id in sorted(place.differing & gone)]
        if runs := sorted(place.differing - gone):
            async with connected(settings, name, notify) as services:
                await _Repair(services, stopping, show, notify).run(runs, result)
    return result


class _Repair:
    """The repair of one tracker's runs."""

    def __init__(self, services: Connected, stopping: asyncio.Event, show: Show, notify: Callable[[str], None]) -> None:
        self._services, self._stopping, self._show, self._notify = services, stopping, show, notify
        self._name = services.tracker.name
        self._repairs = Repairs(services.database, self._name)

    async def run(self, runs: Sequence[str], result: RepairResult) -> None:
        """Repair these runs, and note in `result` what was done."""
        await self._deliver(runs)
        if self._stopping.is_set():
            return
        before = await self._repairs.positions(runs)
        await asyncio.sleep(REST_S)
        again = await verify(self._services.settings, VerifyScope([self._name], runs))
        after = await self._repairs.positions(runs)
        different = sorted(again.places[self._name].differing)
        result.resumed[self._name] = sorted({*runs} - {*different})
        still = [run_id for run_id in different if before.get(run_id) == after.get(run_id)]
        moving = sorted({*different} - {*still})  # may differ only because places were read one after the other
        result.not_repaired += [NotRepaired(self._name, run_id, MOVING) for run_id in moving]
        tracker = self._services.tracker
        rewritten = await self._start_over(still, result, tracker.start_over if can_start_over(tracker) else None)
        result.rewritten[self._name] = rewritten
        if rewritten:
            await self._deliver(rewritten)
        if not rewritten or self._stopping.is_set() or not can_replace(tracker):
            return
        left = (await verify(self._services.settings, VerifyScope([self._name], rewritten))).places[self._name]
        if replaced := await self._start_over(sorted(left.differing), result, tracker.replace):
            await self._deliver(replaced)

    async def _deliver(self, runs: Sequence[str]) -> None:
        request, progress = ReplayRequest(RunSelection(tuple(runs))), ReplayProgress()

        async def show() -> None:
            while True:
                what = "repairing" if progress.state in ("starting", "replaying") else progress.state[:60]
                self._show(f"{self._name}: {what}", progress.done, progress.total or None)
                await asyncio.sleep(POLL_S)

        async with background(show()):
            await Replay(self._services, request, self._stopping, progress, self._notify).run()

    async def _start_over(self, runs: Sequence[str], result: RepairResult, prepare: Prepare | None) -> list[str]:
        """
        Let runs begin at their first record again; return those for which that was possible.

        `prepare` is the tracker's method for that: `start_over` or `replace`; None: it has none.
        """
        incomplete = await self._incomplete(runs)
        begun: list[str] = []
        async with AsyncExitStack() as stack:
            has_lease = not await self._services.trackers.is_delivering(self._name)
            if has_lease:
                await stack.enter_async_context(self._services.deliveries.lease(self._notify))
            for run_id in runs:
                if self._stopping.is_set():
                    break
                reason = incomplete.get(run_id) or await self._start_over_one(run_id, prepare, has_lease=has_lease)
                if reason:
                    result.not_repaired.append(NotRepaired(self._name, run_id, reason))
                else:
                    begun.append(run_id)
        return begun

    async def _start_over_one(self, run_id: str, prepare: Prepare | None, *, has_lease: bool) -> str:
        """Let one run begin at its first record again; return the reason if that is not possible, else ''."""
        if prepare is None:
            return f"the tracker {self._name} cannot rewrite a run (it has no `start_over`)"
        state = await self._set_aside(run_id, has_lease=has_lease)
        if state is None:
            return f"a delivery was busy with it for {FREE_WITHIN_S:.0f} s: try again when that ends"
        try:
            fresh: State = await asyncio.to_thread(prepare, run_id, state)
        except TrackerRefused as error:
            return str(error)
        await self._repairs.start_over(run_id, fresh)
        return ""

    async def _set_aside(self, run_id: str, *, has_lease: bool) -> Mapping[str, Any] | None:
        deadline = monotonic() + FREE_WITHIN_S
        while (state := await self._repairs.set_aside(run_id, SET_ASIDE, has_lease=has_lease)) is None:
            if monotonic() >= deadline:
                return None
            await asyncio.sleep(POLL_S)
        return state

    async def _incomplete(self, runs: Sequence[str]) -> dict[str, str]:
        """Return the runs that neither the log nor PostgreSQL has completely any more, with the reason."""
        first = (await self._services.bounds.ask()).first
        dropped = await self._services.histories.without_points(runs)
        return {
            run_id: "the log no longer has its first records, nor PostgreSQL its points: what the tracker holds was "
            "left as it is"
            for run_id, position in (await self._repairs.positions(runs)).items()
            if run_id in dropped and first.get(position.partition, 0) > (position.first_offset or 0)
        }


def _named(runs: Sequence[str]) -> str:
    more = f", and {len(runs) - 5:,} more" if len(runs) > 5 else ""
    return ", ".join(runs[:5]) + more
