"""
Report what a replay would send, without sending it: read the log, and compare it with what the tracker has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from consumers.delivery.dispatch.invoke import admit_records
from consumers.delivery.replay.selection import RunSelection, chosen_runs
from consumers.delivery.service import Connected
from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.store.delivery.checkpoints import Checkpoint
from consumers.store.delivery.history import PlannedHistory
from consumers.store.run_partitions import is_stray
from consumers.trackers.protocol import capabilities_of
from schemas.errors import BadRecord
from schemas.wire import identify, points_of

FETCH_RECORDS, POLL_MS = 2_000, 500


class ReplayPlan(NamedTuple):
    """What would be sent to one tracker."""

    tracker: str
    runs: int
    records: int
    points: int
    parked: int  # chosen runs that stay parked
    cannot_hold: Sequence[str]
    from_postgresql: int  # runs of which the log no longer has all records
    why: str  # '' when there is none
    without_points: Mapping[str, int]  # by run: points that are stored nowhere any more
    impossible: Sequence[str]  # runs that would be parked: the tracker has a part, and the log lost what is missing

    def to_json(self) -> dict[str, Any]:
        """Return the plan as `--json` prints it."""
        return {"dry_run": True, **self._asdict(), "cannot_hold": list(self.cannot_hold)}


async def plan(services: Connected, choice: RunSelection) -> ReplayPlan:
    """
    Return what would be sent up to the log's present end. Raises LogUnavailable, StoreUnavailable and LogGap.

    For runs that come from PostgreSQL, records of the log that are folded already are not counted; their points are.
    """
    runs = None
    if choice.is_narrow:
        runs = frozenset(await chosen_runs(services.settings, services.database, choice))
    known = await services.deliveries.load(None if runs is None else list(runs))
    counts = _Counts(known, runs)
    reader = services.reader()
    try:
        await reader.open()
        first, end = await reader.beginning_offsets(), await reader.end_offsets()
        histories = await _histories(services, runs, known, first)
        counts.add_histories(histories.possible, await services.histories.folded())
        starts = await _starts(services, runs, known, first)
        await _count(services, reader, {part: max(at, first[part]) for part, at in starts.items()}, end, counts)
    finally:
        await reader.close()
    parked = sum(one.status == "parked" for one in known.values())
    return ReplayPlan(
        services.tracker.name, len(counts.runs), counts.records, counts.points, parked,
        tuple(services.tracker.cannot_hold), *histories.summary(first),
    )  # fmt: skip


class _Histories(NamedTuple):
    possible: Sequence[PlannedHistory]
    impossible: Sequence[str]

    def summary(self, first: Mapping[int, int]) -> tuple[int, str, dict[str, int], Sequence[str]]:
        partitions = sorted({one.partition for one in self.possible})
        begins = " and ".join(f"at offset {first[part]} of partition {part}" for part in partitions)
        why = f"the log begins {begins}, after records of them" if partitions else ""
        dropped = {one.run_id: one.dropped_points for one in self.possible if one.dropped_points}
        return len(self.possible), why, dropped, self.impossible


async def _histories(
    services: Connected, runs: frozenset[str] | None, known: Mapping[str, Checkpoint], first: Mapping[int, int]
) -> _Histories:
    since = await services.deliveries.offsets() if runs is None else {}
    found = await services.histories.planned(None if runs is None else list(runs), since, first)
    can_delete = capabilities_of(services.tracker).can_delete
    impossible = [one.run_id for one in found if one.is_begun and (one.dropped_points or not can_delete)]
    return _Histories([one for one in found if one.run_id not in impossible], impossible)


async def _starts(
    services: Connected, runs: frozenset[str] | None, known: Mapping[str, Checkpoint], first: Mapping[int, int]
) -> dict[int, int]:
    if runs is not None and not runs <= known.keys():
        return dict(first)  # some have no checkpoint yet, and may begin anywhere
    offsets = await services.deliveries.offsets() if runs is None else {}
    starts = {part: offsets.get(part, at) for part, at in first.items()}
    offsets_to_reread = [
        one.next_offset for one in known.values() if one.status != "parked" and (one.rereading or runs is not None)
    ]
    if runs is not None:
        return dict.fromkeys(first, min(offsets_to_reread, default=2**62))
    return {part: min([at, *offsets_to_reread]) for part, at in starts.items()}


async def _count(
    services: Connected, reader: LogReader, starts: Mapping[int, int], end: Mapping[int, int], counts: _Counts
) -> None:
    positions = {part: at for part, at in starts.items() if at < end[part]}
    await reader.assign(positions)
    while any(at < end[part] for part, at in positions.items()):
        records = await reader.fetch(timeout_ms=POLL_MS, max_records=FETCH_RECORDS)
        partitions = await services.run_partitions.of_records(records, claim=False)
        for record in records:
            positions[record.partition] = record.offset + 1
            counts.add(record, partitions, below=end[record.partition])


class _Counts:
    def __init__(self, known: Mapping[str, Checkpoint], chosen: frozenset[str] | None) -> None:
        self._known, self._chosen = dict(known), chosen
        self.runs: set[str] = set()
        self.records = self.points = 0

    def add_histories(self, histories: Sequence[PlannedHistory], folded: Mapping[int, int]) -> None:
        for one in histories:
            self.runs.add(one.run_id)
            self.points += one.points
            self._known[one.run_id] = Checkpoint(folded.get(one.partition, 0))

    def add(self, record: Record, partitions: Mapping[str, int], *, below: int) -> None:
        try:
            run_id = identify(record.key, record.headers).run_id
        except BadRecord:
            return
        if run_id is None or is_stray(run_id, record.partition, partitions):
            return
        before = self._known.get(run_id, Checkpoint())
        if record.offset >= below or before.status == "parked" or (self._chosen and run_id not in self._chosen):
            return
        envelopes, self._known[run_id] = admit_records([record], before)
        if envelopes:
            self.runs.add(run_id)
            self.records += 1
            self.points += sum(map(points_of, envelopes))
