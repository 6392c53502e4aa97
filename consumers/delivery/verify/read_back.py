"""
Read one run from PostgreSQL and from a tracker, as facts that can be compared.

Only one piece of a run is in memory at a time. From the delivery only the tracker's recorded state is used, because it
says where the tracker keeps the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from consumers.delivery.verify.edited import EditedSeries
from consumers.delivery.verify.facts import RunFacts, pool_points, pooling
from consumers.store.delivery.checkpoints import Checkpoint
from consumers.store.read.contents import StoredEdit
from consumers.store.read.reader import StoreReader
from consumers.store.read.snapshot import Snapshot
from consumers.trackers.fidelity import Fidelity, keeps_all_points
from consumers.trackers.protocol import Capabilities, Contents, Tracker, capabilities_of
from schemas.api import RunSummary
from schemas.errors import TrackerRefused, TrackerUnavailable
from schemas.facts import Point, SeriesColumns, SeriesFacts, count_points
from schemas.statuses import ENDED
from schemas.values import to_text


class Expected(NamedTuple):
    """What PostgreSQL holds of a run, and its points as those trackers keep them that change or drop points."""

    facts: RunFacts
    kept: Mapping[str, Mapping[str, SeriesFacts]]  # by tracker


async def read_store(
    reading: StoreReader, run_id: str, run: RunSummary | None, can: Mapping[str, Capabilities]
) -> Expected:
    """Return what PostgreSQL holds of a run, in one snapshot. Raises StoreUnavailable."""
    if run is None:
        return Expected(RunFacts(run_id, missing="PostgreSQL has no run with this id"), {})
    async with reading.snapshot() as now:
        facts = RunFacts(run_id, run.state, await now.params(run_id), tags=run.tags)
        facts.started, facts.ended = run.started, run.ended if run.state in ENDED else None
        facts.lifecycle_stage = run.lifecycle_stage
        held = await now.contents(run_id)
        facts.name, facts.tag, facts.note, facts.labels = held.name or run_id, held.tag, held.note, held.labels
        facts.artifacts, facts.edits = held.artifacts, held.edits
        async for seen in now.observations(run_id):
            facts.add_observation(seen.series, seen.step, seen.time, to_text(seen.value))
        async for line in now.lines(run_id):
            facts.add_line(*line)
        if (counts := await now.dropped_counts(run_id)) is not None:
            facts.counts_only = True
            facts.series = {name: SeriesFacts(points) for name, points in counts.items()}
            return Expected(facts, {})
        return Expected(facts, await _count(now, facts, can))


async def _count(now: Snapshot, facts: RunFacts, can: Mapping[str, Capabilities]) -> dict[str, dict[str, SeriesFacts]]:
    keeping = {name: Fidelity(capabilities) for name, capabilities in can.items() if not keeps_all_points(capabilities)}
    kept: dict[str, dict[str, SeriesFacts]] = {name: {} for name in keeping}
    edited = EditedSeries(() if all(one.can_edit_series for one in can.values()) else facts.edits)
    async for columns in now.columns(facts.run_id):
        facts.add_columns(pooling((columns,), facts.pool, edited.__contains__))
        for name, keeper in keeping.items():
            count_points(kept[name], keeper.apply(_points(columns)))
    return kept


def read_tracker(
    tracker: Tracker, run_id: str, checkpoint: Checkpoint | None, edits: Sequence[StoredEdit] = ()
) -> RunFacts:
    """
    Return what a tracker holds of a run; `edits` are those of its log. Runs in a thread.

    Raises TrackerUnavailable.
    """
    if checkpoint is None:
        return RunFacts(run_id, missing="nothing of it was delivered yet")
    if not checkpoint.state:
        return RunFacts(run_id, missing=checkpoint.error or "nothing of it was delivered yet")
    try:
        held = tracker.read_back(run_id, checkpoint.state)
        facts = RunFacts(run_id, held.status, held.params, tags=held.tags, altered=held.altered)
        facts.started, facts.ended = held.started, held.ended if held.status in ENDED else None
        edited = EditedSeries(() if capabilities_of(tracker).can_edit_series else edits)
        if held.columns is not None:
            facts.add_columns(pooling(held.columns, facts.pool, edited.__contains__))
        else:
            facts.add_points(_pooled(held.points, facts, edited))
        _add_contents(facts, held.contents)
    except TrackerRefused as error:
        return RunFacts(run_id, missing=str(error))
    except TrackerUnavailable:
        raise
    except Exception as error:  # noqa: BLE001  # a plug-in's own code: only this run cannot be read
        return unread(run_id, f"{type(error).__name__}: {error}")
    return facts


def unread(run_id: str, why: str) -> RunFacts:
    """Return the facts of a run that a tracker does not let read."""
    return RunFacts(run_id, missing=f"it cannot be read: {why}"[:500], is_unread=True)


def _add_contents(facts: RunFacts, held: Contents) -> None:
    facts.name, facts.tag, facts.note, facts.labels = held.name, held.tag, held.note, held.labels
    facts.misplaced, facts.where, facts.artifacts, facts.unheld = (
        held.misplaced, held.where, held.artifacts, held.unheld
    )  # fmt: skip
    facts.lifecycle_stage = held.lifecycle_stage
    if held.observations is not None:
        facts.observations = {}
        for seen in held.observations:
            facts.add_observation(*seen)
    if held.lines is not None:
        facts.lines = {}
        for line in held.lines:
            facts.add_line(*line)


def _pooled(points: Iterable[Point], facts: RunFacts, edited: EditedSeries) -> Iterator[Point]:
    for point in points:
        if point.series in edited:
            pool_points(facts.pool, (point,))
        yield point


def _points(columns: SeriesColumns) -> Iterator[Point]:
    name, steps, times_ms, values, _ = columns
    return (Point(name, *one) for one in zip(steps, times_ms, values, strict=True))
