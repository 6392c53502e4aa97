"""
The rows of experiments, registered and logged models, views and rules of alerts, and of what became of each request.

Plain values without I/O: the fold changes them, the store writes each changed row once, at the end of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from schemas.subjects import Collection, Subject

Outcome = Literal["done", "exists", "absent", "deleted", "active", "too_large", "changed"]


@dataclass(slots=True)
class ExperimentRow:
    """An experiment, deleted or not."""

    experiment_id: str
    name: str
    description: str
    artifact_location: str
    tags: dict[str, str]
    created: int  # µs
    updated: int  # µs
    deleted: bool = False


@dataclass(slots=True)
class ModelRow:
    """A registered model. `model_id` is the offset of its registration in the log, so it survives a new name."""

    model_id: int
    name: str
    description: str
    tags: dict[str, str]
    created: int  # µs
    updated: int  # µs
    next_version: int = 1


@dataclass(slots=True)
class ModelVersionRow:
    """One version of a model."""

    model_id: int
    version: int
    source: str
    run_id: str
    description: str
    tags: dict[str, str]
    created: int  # µs
    updated: int  # µs
    stage: str = "None"
    run_link: str = ""
    location: str = ""


@dataclass(slots=True)
class ModelAliasRow:
    """A name for one version of a model."""

    model_id: int
    alias: str
    version: int


@dataclass(slots=True)
class LoggedModelRow:
    """A logged model, deleted or not."""

    model_id: str
    experiment_id: str
    name: str
    model_type: str
    source_run_id: str
    artifact_location: str
    status: str
    params: dict[str, str]
    tags: dict[str, str]
    created: int  # µs
    updated: int  # µs; when it got its status, or was deleted
    deleted: bool = False


@dataclass(slots=True)
class ModelPointRow:
    """A point of a metric of a logged model. The first one with this model, name, time, step and run is kept."""

    model_id: str
    name: str
    time: int  # µs
    step: int
    run_id: str
    value: float | str  # as schemas/columns.py writes it to JSON
    dataset_name: str
    dataset_digest: str
    log_offset: int
    number: int  # in the event


@dataclass(slots=True)
class ModelArtifactRow:
    """A file of a logged model."""

    model_id: str
    path: str
    uri: str
    size: int
    sha256: str
    media_type: str
    time: int  # µs


@dataclass(slots=True)
class SavedItemRow:
    """A view or a rule, deleted or not, with its newest version."""

    collection: Collection
    item_id: str
    version: int
    name: str
    type: str
    created: int  # µs
    updated: int  # µs
    deleted: bool = False

    @property
    def subject(self) -> Subject:
        """What its events are about."""
        return Subject(self.collection, self.item_id)


@dataclass(slots=True)
class SavedVersionRow:
    """One version of a view or a rule. It never changes."""

    collection: Collection
    item_id: str
    version: int
    name: str
    type: str
    body: dict[str, Any]
    description: str
    enabled: bool
    author: str
    time: int  # µs
    log_offset: int


@dataclass(slots=True)
class DecisionRow:
    """
    What became of one request: `outcome` and, for people, `reason`; `result` is what the request made or met.

    A request is known by collection, producer and seq. One that is in the log twice is decided once.
    """

    collection: str
    producer: str
    seq: int
    subject_id: str
    kind: str
    outcome: Outcome
    reason: str
    result: dict[str, Any]
    time: int  # µs, of the request
    log_offset: int


@dataclass(slots=True)
class RegistryChanges:
    """What one transaction writes. A row is either saved or gone."""

    experiments: dict[str, ExperimentRow] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # that experiments got, with the id of each
    models: dict[int, ModelRow] = field(default_factory=dict)
    versions: dict[tuple[int, int], ModelVersionRow] = field(default_factory=dict)
    aliases: dict[tuple[int, str], ModelAliasRow] = field(default_factory=dict)
    gone_models: set[int] = field(default_factory=set)
    gone_versions: set[tuple[int, int]] = field(default_factory=set)
    gone_aliases: set[tuple[int, str]] = field(default_factory=set)
    logged_models: dict[str, LoggedModelRow] = field(default_factory=dict)
    points: list[ModelPointRow] = field(default_factory=list)
    artifacts: dict[tuple[str, str], ModelArtifactRow] = field(default_factory=dict)
    gone_artifacts: set[tuple[str, str]] = field(default_factory=set)  # with all below; dropped before others are saved
    saved: dict[Subject, SavedItemRow] = field(default_factory=dict)
    saved_versions: list[SavedVersionRow] = field(default_factory=list)
    decisions: list[DecisionRow] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether a request was decided, or points were kept."""
        return bool(self.decisions or self.points)
