"""
What events say in MLflow's tags, and which tags they take away.

Pure. The training code's own tags are noted with their values, so that a rename is decided by the log and not by what
the server holds: a repeated call finds there what the first one did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from consumers.trackers.mlflow.metrics import MAX_RUN_NAME, MAX_TAG, Notes, dump, key_of
from schemas import events as ev
from schemas.mapping.names import mlflow_key
from schemas.values import Typed, to_text

NOTE_TAG = "mlflow.note.content"
RUN_NAME_TAG = "mlflow.runName"
MAX_KEPT = 500  # characters of a tag that is kept beside the checkpoint, in full
_DELETED = {"label": "gw.label.", "artifact": "gw.artifact."}

Words = dict[str, str | None]  # by key; None: the tag is to go


def tags(events: Iterable[ev.AnyEvent], notes: Notes, ask: Callable[[], Mapping[str, str]]) -> tuple[Words, Notes]:
    """
    Return the tags that some events set (text) or take away (None); the last word on a key wins.

    `ask` gives the tags that the server holds; it is called only for a renamed tag whose value is not at hand.
    """
    found: Words = {}
    known = dict(notes.tags)
    names: dict[str, str] = {}
    for event in events:
        match event:
            case ev.Tags():
                for name, text in event.tags.items():
                    key = key_of(_own(name), names)
                    found[key] = text[:MAX_TAG]
                    known[key] = text if len(text) <= MAX_KEPT else None
            case ev.Deleted(what="tag"):
                key = mlflow_key(_own(event.name))
                known.pop(key, None)
                found[key] = None
            case ev.Deleted() if event.what in _DELETED:
                found[mlflow_key(_DELETED[event.what] + event.name)] = None
            case ev.Renamed(what="tag"):
                old, new = mlflow_key(_own(event.old)), key_of(_own(event.new), names)
                if old not in known and old not in found and ask().get(old) is not None and new not in ask():
                    known[old] = None  # it came when tags were not noted yet
                if old in known and new not in known:
                    kept = known.pop(old)
                    text = kept if kept is not None else (found.get(old) or ask().get(old) or ask().get(new, ""))
                    found[old], found[new], known[new] = None, text, kept
            case _:
                found |= {mlflow_key(name): text[:MAX_TAG] for name, text in _facts(event).items()}
    return found, notes._replace(tags=known, names={**notes.names, **names})


def _facts(event: ev.AnyEvent) -> dict[str, str]:
    """Return what an event that is not about tags says in tags."""
    match event:
        case ev.RunStarted() | ev.RunCreated() | ev.RunResumed():
            facts = {
                "group": event.group, "tag": event.tag, "parent_run_id": event.parent_run_id,
                "original_run_id": event.original_run_id, "dag_hash": event.dag_hash,
                "run_config": dump(event.run_config) if event.run_config else "",
            }  # fmt: skip
            return {f"gw.{name}": text for name, text in facts.items() if text}
        case ev.RunFinished() | ev.RunFailed() | ev.RunKilled() if event.message:
            return {"gw.message": event.message}
        case ev.Note():
            return {NOTE_TAG: event.text}
        case ev.RunLabels():
            return _texts("gw.label.", event.labels)
        case ev.Environment():
            return _texts("gw.env.", event.values)
        case ev.CodeIdentity():
            said: Any = event.model_dump(exclude={"kind", "time", "step_name"})
            commit = event.code_identifier if event.code_identifier_type == "git" else ""
            facts = {f"gw.code.{event.step_name}": dump(said), "mlflow.source.git.commit": commit}
            return {name: text for name, text in facts.items() if text}
        case ev.Artifact():
            return {f"gw.artifact.{event.name}": dump(event.model_dump(exclude={"kind", "name"}))}
        case ev.StepFinished():
            return {f"gw.step.{event.step_name}": f"{event.status} {event.message}".strip()}
        case ev.Renamed(what="run"):
            return {RUN_NAME_TAG: event.new[:MAX_RUN_NAME]}
    return {}


def own_tags(notes: Notes, held: Mapping[str, str]) -> dict[str, str]:
    """Return the training code's tags, by the names it gave them, with the values that MLflow holds."""
    return {notes.name_of(key).removeprefix("gw.tag."): held[key] for key in notes.tags if key in held}


def _own(name: str) -> str:
    return f"gw.tag.{name}" if name.startswith("gw.") else name


def _texts(prefix: str, typed: Mapping[str, Typed]) -> dict[str, str]:
    return {prefix + name: to_text(value) for name, value in typed.items()}
