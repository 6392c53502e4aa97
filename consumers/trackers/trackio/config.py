"""
A run in trackio apart from its rows: a project, a name, a config, and alerts.

Pure. Our keys of the config begin with `gw.`, trackio's own with `_`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from consumers.trackers.protocol import Contents
from consumers.trackers.run_start import Opening, fold_opening
from consumers.trackers.run_status import RunStatus, fold_run_status
from consumers.trackers.trackio.ids import from_instant, to_exact_instant, to_instant
from consumers.trackers.trackio.translate import Cells, dump
from schemas import events as ev
from schemas.mapping.names import trackio_config_key, trackio_name
from schemas.statuses import STATUS_AFTER
from schemas.values import to_plain

TAG, LABEL, ARTIFACT = "gw.tag.", "gw.label.", "gw.artifact."
_OPENED = ev.RunCreated | ev.RunStarted | ev.RunResumed


class RunHead(NamedTuple):
    """The state of a run that is kept between deliveries. The field names are its keys: do not rename them."""

    project: str
    name: str
    started: int  # µs
    opened: bool  # False: `started` is the time of the first event, because the start event has not arrived
    attempt: int = 1
    tag: str = ""

    def opening(self, run_id: str) -> Opening:
        """Return how the run began."""
        name = "" if self.name == run_id else self.name
        return Opening(self.started, self.started if self.opened else None, self.attempt, name, self.tag)


def fold_head(head: RunHead | None, events: Sequence[ev.AnyEvent], default_project: str, run_id: str) -> RunHead:
    """
    Return the state of a run after some events.

    It stays in its project: the tracker moves it to that of its tag, because a run must not be in two of them.
    """
    known = None if head is None else head.opening(run_id)
    if head is None:
        head = RunHead(fold_opening(None, events).tag or default_project, run_id, events[0].time, False)
    opening = fold_opening(known, events)
    return head._replace(
        name=opening.name or run_id, started=opening.shown, opened=opening.started is not None,
        attempt=opening.attempt, tag=opening.tag,
    )  # fmt: skip


def apply(config: Cells, event: ev.AnyEvent) -> None:
    """Apply an event to the config of a run."""
    if event.kind in STATUS_AFTER:
        _apply_status(config, event)
    match event:
        case ev.RunStarted() | ev.RunCreated() | ev.RunResumed():
            facts = event.model_dump(include={"tag", "parent_run_id", "original_run_id", "dag_hash", "run_config"})
            config |= {f"gw.{name}": value for name, value in facts.items() if value}
            config["_Group"] = event.group or config.get("_Group")
        case ev.Params():
            config |= {trackio_config_key(name): to_plain(value) for name, value in event.params.items()}
        case ev.Tags():
            config |= {f"{TAG}{name}": value for name, value in event.tags.items()}
        case ev.RunLabels():
            config |= {f"{LABEL}{name}": to_plain(value) for name, value in event.labels.items()}
        case ev.Environment():
            config |= {f"gw.env.{name}": to_plain(value) for name, value in event.values.items()}
        case ev.Note():
            config["gw.note"] = event.text
        case ev.CodeIdentity():
            config["gw.code"] = event.model_dump(exclude={"kind", "time"})
        case ev.Artifact():
            config[f"{ARTIFACT}{event.name}"] = event.model_dump(exclude={"kind", "name"})
        case ev.Deleted() | ev.Renamed() if event.what in ("param", "tag", "label", "artifact"):
            _apply_edit(config, event)


def finish(config: Cells, run_id: str, head: RunHead) -> None:
    """Put the facts of the run as a whole into its config."""
    config["_Created"] = to_instant(head.started)
    config["gw.started_at"] = to_exact_instant(head.started)
    config["gw.run_id"] = run_id
    config |= {"gw.tag": head.tag} if head.tag else {}


def alert(event: ev.AnyEvent) -> tuple[str, str, str] | None:
    """Return title, text and level of an event's alert, or None if it has none."""
    match event:
        case ev.RunFailed():
            return "Run failed", event.message, "error"
        case ev.RunKilled():
            return "Run killed", event.message, "warn"
        case _:
            return None


def params_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a config as JSON text by their original names."""
    return {trackio_name(key): dump(value) for key, value in config.items() if not key.startswith(("_", "gw."))}


def contents_of(config: Mapping[str, Any], name: str | None, project: str, default_project: str) -> Contents:
    """Return what a config holds besides parameters and tags."""
    tag = config.get("gw.tag", "")
    return Contents(
        name=name,
        tag=tag,
        misplaced="" if project == (tag or default_project) else f"project {project!r}",
        note=config.get("gw.note", ""),
        labels=_with_prefix(config, LABEL),
        artifacts=_with_prefix(config, ARTIFACT),
    )


def _with_prefix(config: Mapping[str, Any], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): dump(value) for key, value in config.items() if key.startswith(prefix)}


def tags_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of a config."""
    return {key.removeprefix(TAG): str(value) for key, value in config.items() if key.startswith(TAG)}


def _apply_status(config: Cells, event: ev.AnyEvent) -> None:
    known = None
    if "gw.attempt" in config:
        ended = config.pop("gw.ended_at", None)
        known = RunStatus(
            config["gw.status"] if ended else "running", from_instant(ended) if ended else None,
            config.pop("gw.message", ""), config["gw.attempt"],
        )  # fmt: skip
    now = fold_run_status(known, [event])
    config["gw.status"] = STATUS_AFTER[event.kind] if now is None else now.status
    if now is not None:
        config["gw.attempt"] = now.attempt
        config |= {} if now.time is None else {"gw.ended_at": to_exact_instant(now.time)}
        config |= {"gw.message": now.message} if now.message else {}


def _apply_edit(config: Cells, event: ev.Deleted | ev.Renamed) -> None:
    prefix = {"tag": TAG, "label": LABEL, "artifact": ARTIFACT}.get(event.what)

    def key(name: str) -> str:
        return f"{prefix}{name}" if prefix else trackio_config_key(name)

    if isinstance(event, ev.Deleted):
        config.pop(key(event.name), None)
    elif key(event.old) in config and key(event.new) not in config:
        config[key(event.new)] = config.pop(key(event.old))
