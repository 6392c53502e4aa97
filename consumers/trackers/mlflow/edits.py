"""
Deletes and renames that MLflow can carry out: those of tags, and of whole runs; and its trash.

MLflow can change neither the experiment nor the start of a run, so the run is made again with both, gets everything
that the old one has, and the old one goes to the trash. The process may die at any moment: the same call finds the new
run by its key, start and experiment, and writes the same rows again.

MLflow writes nothing into a run in its trash. What is recorded into a run that the log has put there must not be lost:
the run is taken out, written to, and put back. A tag says that the log put it there, so that a call that is repeated
after a crash finds it; a run that a person put there does not have the tag, and stays there.

MLflow has no way to delete or rename a metric or a param. The log decides a rename, not what the server holds: a
repeated call finds there what the first one did. Therefore the mapping state keeps the training code's tags with their
values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice

from consumers.trackers.edits import Edit
from consumers.trackers.mlflow.backend import DELETED_TAG, REPLACED_TAG, STAGE_TAG, Backend, NewRun, RemoteRun
from consumers.trackers.mlflow.mapping_state import key_of
from consumers.trackers.mlflow.params import FOLDER
from consumers.trackers.mlflow.requests import Call
from consumers.trackers.mlflow.responses import MISSING, MlflowRefused
from schemas import events as ev
from schemas.mapping.mlflow import MAX_RUN_NAME, NOTE_TAG, PARENT_TAG, RUN_NAME_TAG
from schemas.mapping.names import mlflow_key
from schemas.wire import Envelope

COPIED_ROWS = 50_000  # of metrics in memory at once
COPY_TAG = "gw.replaces"  # the run that this one was made in the place of
OWN_PREFIX = "gw.tag."  # of tags of the training code whose names begin like ours
# Of MLflow's tags those that hold facts of a run: one of the training code with that name must not replace the fact.
_FACTS = {RUN_NAME_TAG, NOTE_TAG, PARENT_TAG, "mlflow.source.git.commit"}
_PREFIXES = {"label": "gw.label.", "artifact": "gw.artifact."}

TagChanges = dict[str, str | None]  # by key: the new text; None: the tag is deleted


def tag_name(name: str) -> str:
    """Return the name under which a tag of the training code is stored; names of ours begin with `gw.`."""
    return f"{OWN_PREFIX}{name}" if name.startswith("gw.") or name in _FACTS else name


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
        if run.is_put_away:
            backend.restore_run(run.id)  # a run in the trash takes no tag
        if run.is_active or run.is_put_away:
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


def find_replacement(backend: Backend, run: str, key_tag: str, key: str) -> RemoteRun | None:
    """Return the last run that was made in the place of this one, which is in the trash; None if there is none."""
    old, replaced = run, set[str]()
    while old not in replaced and (found := find_run(backend, old)):
        if old != run and (found[0].is_active or found[0].is_put_away):
            return found[0]
        if found[0].is_active or REPLACED_TAG not in found[0].tags:
            return None
        replaced.add(old)
        old = found[0].tags[REPLACED_TAG]
    return next((other for other in backend.find_runs(key_tag, key) if other.id not in replaced), None)


def replace_run(backend: Backend, old: RemoteRun, wanted: NewRun, key_tag: str, parent_tag: str) -> RemoteRun:
    """Return the run that takes the place of `old`. Raises TrackerUnavailable, TrackerRefused."""
    found = backend.find_runs(key_tag, wanted.tags[key_tag])
    new = next((run for run in found if run.id != old.id and is_wanted(run, wanted)), None)
    new = new or backend.create_run(wanted._replace(tags={**wanted.tags, COPY_TAG: old.id}))
    rows = chain.from_iterable(columns.rows() for columns in backend.metric_columns(old))
    while some := list(islice(rows, COPIED_ROWS)):
        for call in backend.split(some, {}, {}):
            backend.log_batch(new.id, call)
    tags = {key: text for key, text in old.tags.items() if key not in (REPLACED_TAG, COPY_TAG)}
    for call in backend.split((), old.params, tags):
        backend.log_batch(new.id, call)
    for path, content in backend.load_artifacts(old.artifact_uri, FOLDER):
        backend.store_artifact(new.artifact_uri, path, content)
    if old.ended_ms is not None:
        backend.set_status(new.id, old.status, old.ended_ms)
    _trash(backend, old, new.id, backend.find_runs(parent_tag, old.id), parent_tag)
    return new


def drop_copies(backend: Backend, old: str, kept: str, key_tag: str, key: str) -> None:
    """Move copies of `old` to the trash that a killed call began and that are not wanted any more; `kept` stays."""
    for run in backend.find_runs(key_tag, key):
        if run.id not in (old, kept) and run.tags.get(COPY_TAG) == old:
            _trash(backend, run, kept, (), "")


def put_away(backend: Backend, old: RemoteRun) -> None:
    """Move a run to the trash, so that its next delivery makes another one."""
    _trash(backend, old, "", (), "")


def _trash(backend: Backend, old: RemoteRun, new: str, children: Sequence[RemoteRun], parent_tag: str) -> None:
    for child in children:
        backend.log_batch(child.id, Call(tags={parent_tag: new}))
    if old.is_active:
        backend.log_batch(old.id, Call(tags={REPLACED_TAG: new or "the next delivery"}))
        backend.delete_run(old.id)


def is_wanted(run: RemoteRun, wanted: NewRun) -> bool:
    """Return True if a run is where, and began when, it should."""
    return (run.experiment_id, run.started_ms) == (wanted.experiment_id, wanted.started_ms)


def stage_after(stage: str, envelopes: Iterable[Envelope]) -> str:
    """Return the lifecycle stage of a run after some events: active or deleted."""
    changes = [one.event.stage for one in envelopes if isinstance(one.event, ev.LifecycleStage)]
    return changes[-1] if changes else stage


def take_out(backend: Backend, run: str) -> None:
    """
    Take a run that the log put into the trash out of it, so that it can be written to.

    Raises MlflowRefused if it is there for another reason: a call whose checkpoint was lost deleted or replaced it.
    """
    found = backend.get_run(run)
    if found.is_put_away:
        backend.restore_run(run)
    elif not found.is_active:
        raise MlflowRefused(f"run {run} is in MLflow's trash, which the log did not ask for: restore or repair it")


def set_stage(backend: Backend, run: str, before: str, after: str) -> None:
    """Give an active run the stage `after`; `before` is the one of the last checkpoint."""
    if after == "deleted":
        backend.log_batch(run, Call(tags={STAGE_TAG: after}))
        backend.delete_run(run)
    elif before == "deleted":
        backend.delete_tag(run, STAGE_TAG)


def is_put_away(backend: Backend, run: str) -> bool:
    """Return whether a run is in the trash because the log says so."""
    return any(found.is_put_away for found in find_run(backend, run))
