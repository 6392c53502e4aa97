"""
Deletes and renames that MLflow can carry out: those of tags, and of whole runs.

MLflow has no way to delete or rename a metric or a param. The log decides a rename, not what the server holds: a
repeated call finds there what the first one did. Therefore the mapping state keeps the training code's tags with their
values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from consumers.trackers.edits import Edit
from consumers.trackers.mlflow.backend import Backend, RemoteRun
from consumers.trackers.mlflow.mapping_state import MAX_RUN_NAME, key_of
from consumers.trackers.mlflow.requests import Call
from consumers.trackers.mlflow.responses import MISSING, MlflowRefused
from schemas import events as ev
from schemas.mapping.names import mlflow_key

RUN_NAME_TAG = "mlflow.runName"
DELETED_TAG = "gw.deleted"  # of a run that the log deleted; a run that a person put into the trash does not have it
OWN_PREFIX = "gw.tag."  # of tags of the training code whose names begin like ours
_PREFIXES = {"label": "gw.label.", "artifact": "gw.artifact."}

TagChanges = dict[str, str | None]  # by key: the new text; None: the tag is deleted


def tag_name(name: str) -> str:
    """Return the name under which a tag of the training code is stored; names of ours begin with `gw.`."""
    return f"{OWN_PREFIX}{name}" if name.startswith("gw.") else name


def edit_tags(
    edit: Edit,
    changes: TagChanges,
    known: dict[str, str | None],
    names: dict[str, str],
    remote_tags: Callable[[], Mapping[str, str]],
) -> None:
    """
    Apply an edit to the tag changes so far, to the tags known of the run and to the names of their keys.

    `remote_tags` returns the tags that the server holds. It is called only if the value of a renamed tag is not known.
    """
    match edit:
        case ev.Deleted(what="tag"):
            key = mlflow_key(tag_name(edit.name))
            known.pop(key, None)
            changes[key] = None
        case ev.Deleted() if edit.what in _PREFIXES:
            changes[mlflow_key(_PREFIXES[edit.what] + edit.name)] = None
        case ev.Renamed(what="tag"):
            old, new = mlflow_key(tag_name(edit.old)), key_of(tag_name(edit.new), names)
            is_unknown = old not in known and old not in changes
            if is_unknown and remote_tags().get(old) is not None and new not in remote_tags():
                known[old] = None  # it was set by a release that did not record tags
            if old in known and new not in known:
                kept = known.pop(old)
                text = kept
                if text is None:
                    text = changes.get(old) or remote_tags().get(old) or remote_tags().get(new, "")
                changes[old], changes[new], known[new] = None, text, kept
        case ev.Renamed(what="run"):
            changes[RUN_NAME_TAG] = edit.new[:MAX_RUN_NAME]


def delete_runs(backend: Backend, runs: Iterable[RemoteRun]) -> None:
    """Move runs to MLflow's trash, marked as deleted by the log; `mlflow gc` empties it."""
    for run in runs:
        if run.is_active:
            backend.log_batch(run.id, Call(tags={DELETED_TAG: "1"}))
            backend.delete_run(run.id)


def delete_duplicates(backend: Backend, runs: Iterable[RemoteRun]) -> None:
    """
    Delete the empty ones of these runs: creations whose answers were lost, and that became visible late.

    A copy that a person made is not empty and stays.
    """
    for run in runs:
        if run.is_empty:
            backend.delete_run(run.id)


def find_run(backend: Backend, run: str) -> list[RemoteRun]:
    """Return a run in a list, or an empty list if `mlflow gc` has removed it."""
    try:
        return [backend.get_run(run)]
    except MlflowRefused as error:
        if error.code != MISSING:
            raise
        return []


def is_deleted_by_log(backend: Backend, run: str) -> bool:
    """Return True if the log deleted this run, False if a person did or if it is still there."""
    return any(not found.is_active and DELETED_TAG in found.tags for found in find_run(backend, run))
