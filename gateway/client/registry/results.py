"""
What reads of experiments and models return: values that never change. Times are µs since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """An experiment, deleted or not. Runs name it by their tag or by its id."""

    id: str
    name: str
    former_names: tuple[str, ...]  # that no other experiment has or had since
    is_deleted: bool
    description: str
    artifact_location: str  # as it was given; runs store artifacts where GATEWAY_ARTIFACTS says
    tags: Mapping[str, str]
    created: int
    updated: int

    @classmethod
    def from_document(cls, found: Mapping[str, Any]) -> Experiment:
        """Return it from the document of the query API."""
        given = {name: value for name, value in found.items() if name in cls.__slots__}
        return cls(
            **given | {"former_names": tuple(found["former_names"])},
            id=found["experiment_id"],
            is_deleted=found["state"] == "deleted",
        )

    def to_document(self) -> dict[str, Any]:
        """Return the document of the query API."""
        found = asdict(self)
        state = "deleted" if found.pop("is_deleted") else "active"
        return {"experiment_id": found.pop("id"), "name": found.pop("name"), "state": state, **found}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a registered model."""

    name: str  # of the model
    version: int
    source: str  # URI of its files
    run_id: str  # the run that stored them; "" if none is known
    stage: str  # None, Staging, Production or Archived
    aliases: tuple[str, ...]
    description: str
    tags: Mapping[str, str]
    created: int
    updated: int

    @classmethod
    def from_document(cls, found: Mapping[str, Any]) -> ModelVersion:
        """Return it from the document of the query API."""
        given = {name: value for name, value in found.items() if name in cls.__slots__}
        return cls(**given | {"aliases": tuple(found["aliases"])})

    def to_document(self) -> dict[str, Any]:
        """Return the document of the query API."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A registered model."""

    name: str
    description: str
    tags: Mapping[str, str]
    aliases: Mapping[str, int]  # the version that each alias names
    versions: int  # how many it has
    created: int
    updated: int  # newest change of the model or of a version
    latest: tuple[ModelVersion, ...] = ()  # the newest version of each stage; empty in a list of models

    @classmethod
    def from_document(cls, found: Mapping[str, Any]) -> Model:
        """Return it from the document of the query API."""
        given = {name: value for name, value in found.items() if name in cls.__slots__}
        return cls(**given | {"latest": tuple(map(ModelVersion.from_document, found["latest"] or ()))})

    def to_document(self) -> dict[str, Any]:
        """Return the document of the query API."""
        return asdict(self)
