"""
State of the registry's fold: the stored rows that one batch of requests may need, and what it changes of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from consumers.store.registry.rows import (
    DecisionRow,
    ExperimentRow,
    LoggedModelRow,
    ModelAliasRow,
    ModelArtifactRow,
    ModelRow,
    ModelVersionRow,
    RegistryChanges,
    SavedItemRow,
)
from schemas import events as ev
from schemas.subjects import SAVED, Subject
from schemas.wire import RegistryEnvelope

RequestKey = tuple[str, str, int]  # collection, producer, seq


@dataclass(slots=True)
class Wanted:
    """What has to be loaded before a batch of requests is folded."""

    requests: set[RequestKey] = field(default_factory=set)
    experiment_ids: set[str] = field(default_factory=set)
    experiment_names: set[str] = field(default_factory=set)
    model_names: set[str] = field(default_factory=set)
    versions: set[tuple[str, int]] = field(default_factory=set)  # name of the model, number
    stages: set[tuple[str, str]] = field(default_factory=set)  # name of the model, stage of its versions
    logged_models: set[str] = field(default_factory=set)  # ids
    saved: set[tuple[str, str]] = field(default_factory=set)  # collection, id


def wanted_by(envelopes: Iterable[RegistryEnvelope]) -> Wanted:
    """Return what these requests name."""
    wanted, is_renaming = Wanted(), False
    for subject, producer, seq, _, event in envelopes:
        wanted.requests.add((subject.collection, producer, seq))
        if subject.collection == "logged_models":
            wanted.logged_models.add(subject.id)
            continue
        if subject.collection in SAVED:
            wanted.saved.add(subject)
            continue
        if subject.collection == "experiments":
            wanted.experiment_ids.add(subject.id)
            if isinstance(event, ev.ExperimentCreated | ev.ExperimentRenamed):
                wanted.experiment_names.add(event.name)
            continue
        wanted.model_names.add(subject.id)
        if isinstance(event, ev.ModelRenamed):
            wanted.model_names.add(event.name)
            is_renaming = True
        if version := getattr(event, "version", None):
            wanted.versions.add((subject.id, version))
        if isinstance(event, ev.ModelVersionStage) and event.archive_existing and event.stage != "Archived":
            wanted.stages.add((subject.id, event.stage))
    if is_renaming:  # what is asked of a name may be about a model that has another one in the store
        wanted.versions = {(name, version) for name in wanted.model_names for _, version in wanted.versions}
        wanted.stages = {(name, stage) for name in wanted.model_names for _, stage in wanted.stages}
    return wanted


class RegistryState:
    """The rows as they are after the requests that were folded so far, and what these changed."""

    def __init__(self) -> None:
        self.decided: set[RequestKey] = set()
        self.experiments: dict[str, ExperimentRow] = {}
        self.experiment_names: dict[str, str] = {}  # the id of the experiment with a name
        self.models: dict[str, ModelRow] = {}  # by name
        self.versions: dict[tuple[int, int], ModelVersionRow] = {}
        self.aliases: dict[tuple[int, str], ModelAliasRow] = {}
        self.logged_models: dict[str, LoggedModelRow] = {}
        self.saved: dict[Subject, SavedItemRow] = {}
        self.changes = RegistryChanges()

    def add(
        self,
        decided: Iterable[RequestKey],
        experiments: Iterable[ExperimentRow],
        models: Iterable[ModelRow],
        versions: Iterable[ModelVersionRow],
        aliases: Iterable[ModelAliasRow],
        logged_models: Iterable[LoggedModelRow] = (),
        saved: Iterable[SavedItemRow] = (),
    ) -> None:
        """Add rows that were loaded from the store."""
        self.decided.update(decided)
        for experiment in experiments:
            self.experiments[experiment.experiment_id] = experiment
            self.experiment_names[experiment.name] = experiment.experiment_id
        self.models.update((model.name, model) for model in models)
        self.versions.update(((one.model_id, one.version), one) for one in versions)
        self.aliases.update(((one.model_id, one.alias), one) for one in aliases)
        self.logged_models.update((one.model_id, one) for one in logged_models)
        self.saved.update((one.subject, one) for one in saved)

    def save_experiment(self, row: ExperimentRow, time: int) -> None:
        """Keep an experiment that a request of `time` (µs) changed."""
        row.updated = max(row.updated, time)
        self.experiments[row.experiment_id] = row
        if self.experiment_names.get(row.name) != row.experiment_id:
            self.experiment_names[row.name] = self.changes.names[row.name] = row.experiment_id
        self.changes.experiments[row.experiment_id] = row

    def save_model(self, row: ModelRow, time: int) -> None:
        """Keep a model that a request of `time` (µs) changed."""
        row.updated = max(row.updated, time)
        self.models[row.name] = row
        self.changes.models[row.model_id] = row

    def save_version(self, row: ModelVersionRow, time: int) -> None:
        """Keep a version that a request of `time` (µs) changed."""
        row.updated = max(row.updated, time)
        key = row.model_id, row.version
        self.versions[key] = self.changes.versions[key] = row

    def save_alias(self, row: ModelAliasRow) -> None:
        """Keep an alias."""
        key = row.model_id, row.alias
        self.aliases[key] = self.changes.aliases[key] = row
        self.changes.gone_aliases.discard(key)

    def drop_alias(self, model_id: int, alias: str) -> None:
        """Forget an alias; does nothing if there is none."""
        key = model_id, alias
        if self.aliases.pop(key, None) is not None:
            self.changes.aliases.pop(key, None)
            self.changes.gone_aliases.add(key)

    def drop_version(self, model_id: int, version: int) -> None:
        """Forget a version, with the aliases that name it."""
        for alias in [one.alias for one in self.aliases.values() if (one.model_id, one.version) == (model_id, version)]:
            self.drop_alias(model_id, alias)
        key = model_id, version
        self.versions.pop(key, None)
        self.changes.versions.pop(key, None)
        self.changes.gone_versions.add(key)

    def drop_model(self, row: ModelRow) -> None:
        """Forget a model with its versions and aliases, also those that were not loaded."""
        del self.models[row.name]
        for rows in (self.versions, self.aliases, self.changes.versions, self.changes.aliases):
            for key in [key for key in rows if key[0] == row.model_id]:
                del rows[key]  # type: ignore[arg-type]  # the keys are its own
        self.changes.models.pop(row.model_id, None)
        self.changes.gone_models.add(row.model_id)

    def save_logged_model(self, row: LoggedModelRow) -> None:
        """Keep a logged model that a request changed."""
        self.logged_models[row.model_id] = self.changes.logged_models[row.model_id] = row

    def save_item(self, row: SavedItemRow) -> None:
        """Keep a view or a rule that a request changed."""
        self.saved[row.subject] = self.changes.saved[row.subject] = row

    def save_artifact(self, row: ModelArtifactRow) -> None:
        """Keep a file of a logged model."""
        self.changes.artifacts[row.model_id, row.path] = row

    def drop_artifacts(self, model_id: str, path: str) -> None:
        """Forget a file of a logged model and all files below this path; all of its files if it is empty."""
        changed = self.changes.artifacts
        for key in [
            key for key in changed if key[0] == model_id and f"{key[1]}/".startswith(f"{path}/" if path else "")
        ]:
            del changed[key]
        self.changes.gone_artifacts.add((model_id, path))

    def decide(self, decision: DecisionRow) -> None:
        """Keep what became of a request."""
        self.decided.add((decision.collection, decision.producer, decision.seq))
        self.changes.decisions.append(decision)
