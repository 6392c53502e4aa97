"""
Facts of a run as MLflow tags.

Pure. The tags of the training code keep their names; ours begin with `gw.`, and MLflow's own with `mlflow.`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from consumers.trackers.mlflow.edits import OWN_PREFIX, TagChanges, edit_tags, tag_name
from consumers.trackers.mlflow.mapping_state import MAX_KEPT, MappingState, dump, first_items, key_of
from schemas import events as ev
from schemas.mapping.mlflow import MAX_TAG, NOTE_TAG
from schemas.values import Typed, to_text

MAX_KEPT_CHARS = 500  # characters up to which a tag is kept in full with the checkpoint


class TagCollector:
    """
    Collects the tags that events set (text) or delete (None); the last event for a key wins.

    `remote_tags` returns the tags that the server holds; see `edit_tags`.
    """

    def __init__(self, before: MappingState, remote_tags: Callable[[], Mapping[str, str]]) -> None:
        self.changes: TagChanges = {}
        self.names: dict[str, str] = {}  # by key: names that were too long
        self._known = dict(before.tags)
        self._remote_tags = remote_tags

    def add(self, event: ev.AnyEvent) -> None:
        """Add the tags of an event."""
        match event:
            case ev.Tags():
                for name, text in event.tags.items():
                    key = key_of(tag_name(name), self.names)
                    self.changes[key] = text[:MAX_TAG]
                    self._known[key] = text if len(text) <= MAX_KEPT_CHARS else None
            case ev.Deleted() | ev.Renamed():
                edit_tags(event, self.changes, self._known, self.names, self._remote_tags)
            case _:
                facts = _facts(event).items()
                self.changes |= {key_of(name, self.names): text[:MAX_TAG] for name, text in facts}

    def update(self, state: MappingState) -> MappingState:
        """Return the mapping state with the tags of the training code."""
        beyond = state.tags_beyond or len(self._known) > MAX_KEPT
        return state.with_names(self.names)._replace(tags=first_items(self._known), tags_beyond=beyond)


def user_tags(state: MappingState, remote: Mapping[str, str]) -> dict[str, str]:
    """
    Return the tags of the training code by their original names, with the values that MLflow holds.

    If there are more than the state records, all tags count that are neither ours nor MLflow's.
    """
    keys = [key for key in state.tags if key in remote]
    if state.tags_beyond:
        keys += [key for key in remote if key not in state.tags and _is_of_training_code(key)]
    return {state.name_of(key, remote).removeprefix(OWN_PREFIX): remote[key] for key in keys}


def changed_tags(now: Mapping[str, str], before: Mapping[str, str]) -> TagChanges:
    """Return the tags that are new or have another text."""
    return {key: text for key, text in now.items() if before.get(key) != text}


def _facts(event: ev.AnyEvent) -> dict[str, str]:
    match event:
        case ev.RunStarted() | ev.RunCreated() | ev.RunResumed():
            facts = {
                "group": event.group, "tag": event.tag, "parent_run_id": event.parent_run_id,
                "original_run_id": event.original_run_id, "dag_hash": event.dag_hash,
                "run_config": dump(event.run_config) if event.run_config else "",
            }  # fmt: skip
            return {f"gw.{name}": text for name, text in facts.items() if text}
        case ev.Moved() if event.tag:
            return {"gw.tag": event.tag}
        case ev.RunFinished() | ev.RunFailed() | ev.RunKilled() if event.message:
            return {"gw.message": event.message}
        case ev.Note():
            return {NOTE_TAG: event.text}
        case ev.RunLabels():
            return _texts("gw.label.", event.labels)
        case ev.Environment():
            return _texts("gw.env.", event.values)
        case ev.CodeIdentity():
            identity: Any = event.model_dump(exclude={"kind", "time", "step_name"})
            commit = event.code_identifier if event.code_identifier_type == "git" else ""
            facts = {f"gw.code.{event.step_name}": dump(identity), "mlflow.source.git.commit": commit}
            return {name: text for name, text in facts.items() if text}
        case ev.Artifact():
            return {f"gw.artifact.{event.name}": dump(event.model_dump(exclude={"kind", "name"}))}
        case ev.StepFinished():
            return {f"gw.step.{event.step_name}": f"{event.status} {event.message}".strip()}
    return {}


def _is_of_training_code(key: str) -> bool:
    return key.startswith(OWN_PREFIX) or not key.startswith(("gw.", "mlflow."))


def _texts(prefix: str, typed: Mapping[str, Typed]) -> dict[str, str]:
    return {prefix + name: to_text(value) for name, value in typed.items()}
