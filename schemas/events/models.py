"""
Events about a registered model and its versions: requests whose outcome the fold decides, in the order of the log.

A model is known by its name (seed 004). Its versions are numbered from 1; a number is not used again while the model
exists. A deleted model is gone with its versions, and its name is free.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.events.base import Event, IndexedText, Name, Text
from schemas.events.experiments import TagChanges

Version = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Stage = Literal["None", "Staging", "Production", "Archived"]  # those of MLflow, seed 004


class ModelRegistered(Event):
    """A model is registered under its name."""

    kind: Literal["model_registered"] = "model_registered"
    description: Text = ""
    tags: dict[Name, Text] = Field(default_factory=dict)


class ModelRenamed(Event):
    """A model gets another name, which no other may have; its versions and aliases move with it."""

    kind: Literal["model_renamed"] = "model_renamed"
    name: Name


class ModelDescribed(Event):
    """A person describes a model. The last description counts."""

    kind: Literal["model_described"] = "model_described"
    description: Text


class ModelTags(Event):
    """Tags of a model are set, or removed. The last value of a key counts."""

    kind: Literal["model_tags"] = "model_tags"
    tags: TagChanges


class ModelDeleted(Event):
    """A model is deleted with its versions and aliases."""

    kind: Literal["model_deleted"] = "model_deleted"


class ModelAliasSet(Event):
    """An alias names a version of a model; it named another one before, or none."""

    kind: Literal["model_alias_set"] = "model_alias_set"
    alias: Name
    version: Version


class ModelAliasDeleted(Event):
    """An alias of a model is deleted."""

    kind: Literal["model_alias_deleted"] = "model_alias_deleted"
    alias: Name


class ModelVersionCreated(Event):
    """A model gets its next version. With `register_model`, the model is registered first if it does not exist."""

    kind: Literal["model_version_created"] = "model_version_created"
    source: Text  # URI of its files
    run_id: IndexedText = ""  # the run that stored them
    description: Text = ""
    tags: dict[Name, Text] = Field(default_factory=dict)
    register_model: bool = False
    run_link: Text = ""  # URL of a page about the run
    location: Text = ""  # URI of its files where `source` names another model: `models:/m-…`, `models:/name/3`


class ModelVersionDescribed(Event):
    """A person describes a version. The last description counts."""

    kind: Literal["model_version_described"] = "model_version_described"
    version: Version
    description: Text


class ModelVersionTags(Event):
    """Tags of a version are set, or removed. The last value of a key counts."""

    kind: Literal["model_version_tags"] = "model_version_tags"
    version: Version
    tags: TagChanges


class ModelVersionStage(Event):
    """A version gets a stage; with `archive_existing`, other versions in that stage are archived."""

    kind: Literal["model_version_stage"] = "model_version_stage"
    version: Version
    stage: Stage
    archive_existing: bool = False


class ModelVersionDeleted(Event):
    """A version is deleted, with the aliases that name it."""

    kind: Literal["model_version_deleted"] = "model_version_deleted"
    version: Version
