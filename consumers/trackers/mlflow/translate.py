"""
Translate events into MLflow's values: metrics, params, artifacts, tags and a status, in one pass.

Pure, except that `remote` may ask the server for the value of a renamed tag. metrics.py, params.py and tags.py
each translate one kind of value; mapping_state.py holds what MLflow's values cannot express.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple, Protocol

from consumers.trackers.mlflow.edits import TagChanges
from consumers.trackers.mlflow.mapping_state import MappingState
from consumers.trackers.mlflow.metrics import Metric, MetricCollector
from consumers.trackers.mlflow.params import ArtifactSpill, Param, ParamCollector
from consumers.trackers.mlflow.tags import TagCollector
from consumers.trackers.run_status import RunStatus, fold_run_status
from schemas import events as ev
from schemas.mapping.mlflow import STATE_OF, STATUS_OF
from schemas.statuses import STATUS_AFTER
from schemas.wire import Envelope


class RemoteTexts(Protocol):
    """What the server holds of a run."""

    @property
    def params(self) -> Mapping[str, str]:
        """Params by key."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags by key."""


class StatusChange(NamedTuple):
    """A status in MLflow's words, and when the run got it."""

    status: str
    time_ms: int


class Translation(NamedTuple):
    """What some events of a run are in MLflow."""

    metrics: Sequence[Metric]
    params: Sequence[Param]
    spills: Sequence[ArtifactSpill]
    tags: TagChanges
    name: str  # the first name that the events give the run; "": none
    parent_run_id: str | None  # the last one that the events name, "" if they name none; None: no start among them
    status: RunStatus | None  # of the newest attempt, see `fold_run_status`
    status_change: StatusChange | None  # None: the events do not change the status
    names: Mapping[str, str]  # by key: all names among them that were too long for a key
    state: MappingState


def translate(
    envelopes: Sequence[Envelope], before: MappingState, status: RunStatus | None, remote: Callable[[], RemoteTexts]
) -> Translation:
    """
    Return what events of a run, in log order, are in MLflow.

    `before` and `status` are those of the last checkpoint. `remote` returns what the server holds of the run; it is
    called only if the value of a renamed tag or the owner of a key is not known.
    """
    metrics = MetricCollector(before)
    params = ParamCollector(before, lambda: remote().params)
    tags = TagCollector(before, lambda: remote().tags)
    name, parent_run_id = "", None
    last: ev.AnyEvent | None = None
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, ev.Points):
            metrics.add(event)
        elif isinstance(event, ev.Params):
            params.add_params(event)
        elif isinstance(event, ev.Values):
            params.add_observations(envelope, event)
        else:
            tags.add(event)
            if isinstance(event, ev.RunStarted | ev.RunCreated | ev.RunResumed):
                name = name or event.name
                parent_run_id = event.parent_run_id or parent_run_id or ""
            if event.kind in STATUS_AFTER:
                status, last = fold_run_status(status, [event]), event
    state = tags.update(params.update(metrics.update(before)))
    change = None if last is None else _status_change(status, last)
    return Translation(
        metrics.metrics, params.params, params.spills, tags.changes, name, parent_run_id, status, change,
        {**metrics.names, **params.names, **tags.names}, state,
    )  # fmt: skip


def read_status(status: str) -> str:
    """Return the status of a run that MLflow shows with this one."""
    return STATE_OF.get(status, "running")


def run_key(run_id: str) -> str:
    """Return the value of the tag that a run is looked up by: MLflow's filter language cannot escape quotes."""
    return blake2b(run_id.encode(), digest_size=16).hexdigest()


def _status_change(status: RunStatus | None, last: ev.AnyEvent) -> StatusChange:
    if status is None:
        return StatusChange(STATUS_OF[STATUS_AFTER[last.kind]], last.time // 1_000)
    return StatusChange(STATUS_OF[status.status], (last.time if status.time is None else status.time) // 1_000)
