"""
Decide what becomes of a request about a registered model or one of its versions.

Pure. Versions count upwards from 1 in the order of the log; the number of a deleted version is not used again.
"""

from __future__ import annotations

from consumers.materialiser.registry.state import RegistryState
from consumers.materialiser.registry.verdict import DONE, Verdict, change_tags, too_large
from consumers.store.registry.rows import ModelAliasRow, ModelRow, ModelVersionRow
from schemas import events as ev

_OfVersion = ev.ModelVersionDescribed | ev.ModelVersionTags | ev.ModelVersionStage | ev.ModelVersionDeleted


def decide_model(state: RegistryState, name: str, event: ev.ModelEvent, log_offset: int) -> Verdict:
    """Apply a request to the state, or refuse it; `log_offset` is that of its record."""
    row = state.models.get(name)
    if isinstance(event, ev.ModelRegistered):
        if row is not None:
            return Verdict("exists", f"model {name!r} exists", {"name": name})
        _register(state, ModelRow(log_offset, name, event.description, dict(event.tags), event.time, event.time))
        return Verdict("done", "", {"name": name})
    if row is None and isinstance(event, ev.ModelVersionCreated) and event.register_model:
        row = _register(state, ModelRow(log_offset, name, "", {}, event.time, event.time))
    if row is None:
        return Verdict("absent", f"there is no model {name!r}")
    if isinstance(event, ev.ModelVersionCreated):
        return _create_version(state, row, event)
    if isinstance(event, _OfVersion):
        return _change_version(state, row, event)
    return _change_model(state, row, event)


def _register(state: RegistryState, row: ModelRow) -> ModelRow:
    state.save_model(row, row.created)
    return row


def _create_version(state: RegistryState, model: ModelRow, event: ev.ModelVersionCreated) -> Verdict:
    number = model.next_version
    model.next_version += 1
    tags = dict(event.tags)
    row = ModelVersionRow(
        model.model_id, number, event.source, event.run_id, event.description, tags, event.time, event.time,
        run_link=event.run_link, location=event.location,
    )  # fmt: skip
    state.save_version(row, event.time)
    state.save_model(model, event.time)
    return Verdict("done", "", {"name": model.name, "version": number})


def _change_version(state: RegistryState, model: ModelRow, event: _OfVersion) -> Verdict:
    row = state.versions.get((model.model_id, event.version))
    if row is None:
        return _no_version(model, event.version)
    match event:
        case ev.ModelVersionDescribed():
            row.description = event.description
        case ev.ModelVersionTags():
            if (tags := change_tags(row.tags, event.tags)) is None:
                result = {"name": model.name, "version": row.version}
                return too_large(f"version {row.version} of model {model.name!r}", result)
            row.tags = tags
        case ev.ModelVersionStage():
            if event.archive_existing and event.stage != "Archived":
                _archive(state, row, event)
            row.stage = event.stage
        case ev.ModelVersionDeleted():
            state.drop_version(model.model_id, event.version)
    if not isinstance(event, ev.ModelVersionDeleted):
        state.save_version(row, event.time)
    state.save_model(model, event.time)  # its time of change
    return DONE


def _archive(state: RegistryState, row: ModelVersionRow, event: ev.ModelVersionStage) -> None:
    for other in list(state.versions.values()):
        if other.model_id == row.model_id and other.version != row.version and other.stage == event.stage:
            other.stage = "Archived"
            state.save_version(other, event.time)


def _change_model(state: RegistryState, row: ModelRow, event: ev.ModelEvent) -> Verdict:
    match event:
        case ev.ModelRenamed():
            if event.name != row.name:
                if event.name in state.models:
                    return Verdict("exists", f"model {event.name!r} exists", {"name": event.name})
                del state.models[row.name]
                row.name = event.name
        case ev.ModelDescribed():
            row.description = event.description
        case ev.ModelTags():
            if (tags := change_tags(row.tags, event.tags)) is None:
                return too_large(f"model {row.name!r}", {"name": row.name})
            row.tags = tags
        case ev.ModelDeleted():
            state.drop_model(row)
            return DONE
        case ev.ModelAliasSet():
            if (row.model_id, event.version) not in state.versions:
                return _no_version(row, event.version)
            state.save_alias(ModelAliasRow(row.model_id, event.alias, event.version))
        case ev.ModelAliasDeleted():
            if (row.model_id, event.alias) not in state.aliases:
                return Verdict("absent", f"model {row.name!r} has no alias {event.alias!r}", {"name": row.name})
            state.drop_alias(row.model_id, event.alias)
        case _:
            raise AssertionError(f"no decision for {type(event).__name__}")  # a kind was added without one
    state.save_model(row, event.time)
    return DONE


def _no_version(model: ModelRow, version: int) -> Verdict:
    return Verdict("absent", f"model {model.name!r} has no version {version}", {"name": model.name, "version": version})
