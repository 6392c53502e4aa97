"""
Decide what becomes of a request about a logged model, and keep its points.

Pure. A deleted model can still be changed, as its artifacts may arrive after a person deleted it.
"""

from __future__ import annotations

from typing import Any

from consumers.materialiser.registry.state import RegistryState
from consumers.materialiser.registry.verdict import DONE, Verdict, change_tags, too_large
from consumers.store.registry.rows import LoggedModelRow, ModelArtifactRow, ModelPointRow
from schemas import events as ev
from schemas.columns import float_to_json


def decide_logged_model(state: RegistryState, model_id: str, event: ev.LoggedModelEvent) -> Verdict:
    """Apply a request to the state, or refuse it."""
    row = state.logged_models.get(model_id)
    if isinstance(event, ev.LoggedModelCreated):
        if row is not None:
            return Verdict("exists", f"the id {model_id!r} is that of logged model {row.name!r}", _as_result(row))
        return _create(state, model_id, event)
    if row is None:
        return Verdict("absent", f"there is no logged model with the id {model_id!r}")
    return _change(state, row, event)


def keep_points(state: RegistryState, model_id: str, event: ev.LoggedModelMetrics, log_offset: int) -> bool:
    """Keep points of a model; returns False if there is no such model. The store drops what it has already."""
    if model_id not in state.logged_models:
        return False
    state.changes.points += [
        ModelPointRow(
            model_id, one.name, one.time, one.step, one.run_id, float_to_json(one.value), one.dataset_name,
            one.dataset_digest, log_offset, number,
        )
        for number, one in enumerate(event.metrics)
    ]  # fmt: skip
    return True


def _create(state: RegistryState, model_id: str, event: ev.LoggedModelCreated) -> Verdict:
    row = LoggedModelRow(
        model_id, event.experiment_id, event.name, event.model_type, event.source_run_id,
        event.artifact_location, "pending", dict(event.params), dict(event.tags), event.time, event.time,
    )  # fmt: skip
    state.save_logged_model(row)
    return Verdict("done", "", _as_result(row))


def _change(state: RegistryState, row: LoggedModelRow, event: ev.LoggedModelEvent) -> Verdict:
    match event:
        case ev.LoggedModelStatus():
            row.status = event.status
            row.updated = max(row.updated, event.time)
        case ev.LoggedModelParams():
            if known := sorted(row.params.keys() & event.params.keys()):
                return Verdict("exists", f"logged model {row.name!r} has param {known[0]!r} already", _as_result(row))
            if (params := change_tags(row.params, event.params)) is None:
                return too_large(f"logged model {row.name!r}", _as_result(row))
            row.params = params
        case ev.LoggedModelTags():
            if (tags := change_tags(row.tags, event.tags)) is None:
                return too_large(f"logged model {row.name!r}", _as_result(row))
            row.tags = tags
        case ev.LoggedModelDeleted():
            row.deleted = True
            row.updated = max(row.updated, event.time)
        case ev.LoggedModelArtifact():
            state.save_artifact(
                ModelArtifactRow(
                    row.model_id, event.path, event.uri, event.size, event.sha256, event.media_type, event.time
                )
            )
            return DONE
        case ev.LoggedModelArtifactDeleted():
            state.drop_artifacts(row.model_id, event.path)
            return DONE
        case _:
            raise AssertionError(f"no decision for {type(event).__name__}")  # a kind was added without one
    state.save_logged_model(row)
    return DONE


def _as_result(row: LoggedModelRow) -> dict[str, Any]:
    return {"model_id": row.model_id, "name": row.name, "deleted": row.deleted}
