"""
Decide what becomes of a request about an experiment.

Pure. Requests come in the order of the log, so the first one for a name gets it, in every process that folds the log.
"""

from __future__ import annotations

from typing import Any

from consumers.materialiser.registry.state import RegistryState
from consumers.materialiser.registry.verdict import DONE, Verdict, change_tags, too_large
from consumers.store.registry.rows import ExperimentRow
from schemas import events as ev


def decide_experiment(state: RegistryState, experiment_id: str, event: ev.ExperimentEvent) -> Verdict:
    """Apply a request to the state, or refuse it."""
    row = state.experiments.get(experiment_id)
    if isinstance(event, ev.ExperimentCreated):
        return _create(state, experiment_id, event)
    if row is None:
        return Verdict("absent", f"there is no experiment with the id {experiment_id!r}")
    if isinstance(event, ev.ExperimentRestored):
        return _restore(state, row, event)
    if row.deleted:
        return Verdict("deleted", f"experiment {row.name!r} is deleted: restore it first", _as_result(row))
    return _change(state, row, event)


def _create(state: RegistryState, experiment_id: str, event: ev.ExperimentCreated) -> Verdict:
    if (known := state.experiments.get(experiment_id)) is not None:
        return Verdict("exists", f"the id {experiment_id!r} is that of experiment {known.name!r}", _as_result(known))
    if refused := _taken(state, event.name):
        return refused
    row = ExperimentRow(
        experiment_id, event.name, event.description, event.artifact_location, dict(event.tags), event.time, event.time
    )
    state.save_experiment(row, event.time)
    return Verdict("done", "", _as_result(row))


def _restore(state: RegistryState, row: ExperimentRow, event: ev.ExperimentRestored) -> Verdict:
    if not row.deleted:
        return Verdict("active", f"experiment {row.name!r} is not deleted", _as_result(row))
    row.deleted = False
    state.save_experiment(row, event.time)
    return DONE


def _change(state: RegistryState, row: ExperimentRow, event: ev.ExperimentEvent) -> Verdict:
    match event:
        case ev.ExperimentRenamed():
            if event.name != row.name:
                if refused := _taken(state, event.name):
                    return refused
                del state.experiment_names[row.name]
                row.name = event.name
        case ev.ExperimentDescribed():
            row.description = event.description
        case ev.ExperimentTags():
            if (tags := change_tags(row.tags, event.tags)) is None:
                return too_large(f"experiment {row.name!r}", _as_result(row))
            row.tags = tags
        case ev.ExperimentDeleted():
            row.deleted = True
        case _:
            raise AssertionError(f"no decision for {type(event).__name__}")  # a kind was added without one
    state.save_experiment(row, event.time)
    return DONE


def _taken(state: RegistryState, name: str) -> Verdict | None:
    if (owner := state.experiment_names.get(name)) is None:
        return None
    row = state.experiments[owner]
    return Verdict("exists", f"experiment {name!r} exists{', deleted' if row.deleted else ''}", _as_result(row))


def _as_result(row: ExperimentRow) -> dict[str, Any]:
    return {"experiment_id": row.experiment_id, "name": row.name, "deleted": row.deleted}
