"""
Events about a logged model: files that a training stored as one model, under an id, before anyone gives it a version.

The id is chosen by the producer, as that of a run is. Names need not be unique. A model has parameters, tags, artifacts
and the points of metrics that runs measured of it, also other runs than the one that stored it. A deleted model keeps
all of that; it is no longer listed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from schemas.columns import float_from_json, float_to_json
from schemas.events.base import Count, Event, IndexedText, Name, Text, Time
from schemas.events.experiments import TagChanges

ModelState = Literal["unspecified", "pending", "ready", "failed"]  # pending: its files are being stored
Number = Annotated[float, BeforeValidator(float_from_json), PlainSerializer(float_to_json, return_type=float | str)]
Step = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, strict=True)]


class LoggedModelCreated(Event):
    """A model is created, pending, under an id that its producer chose."""

    kind: Literal["logged_model_created"] = "logged_model_created"
    experiment_id: Name
    name: Name
    model_type: IndexedText = ""
    source_run_id: IndexedText = ""  # the run that stores its files
    artifact_location: Text = ""  # URI below which its files are; empty: their events say where each is
    params: dict[Name, Text] = Field(default_factory=dict)
    tags: dict[Name, Text] = Field(default_factory=dict)


class LoggedModelStatus(Event):
    """A model is ready, or storing its files failed."""

    kind: Literal["logged_model_status"] = "logged_model_status"
    status: ModelState


class LoggedModelParams(Event):
    """A model gets parameters that it does not have yet."""

    kind: Literal["logged_model_params"] = "logged_model_params"
    params: Annotated[dict[Name, Text], Field(min_length=1)]


class LoggedModelTags(Event):
    """Tags of a model are set, or removed. The last value of a key counts."""

    kind: Literal["logged_model_tags"] = "logged_model_tags"
    tags: TagChanges


class LoggedModelDeleted(Event):
    """A model is deleted. It keeps what it has, and is no longer listed."""

    kind: Literal["logged_model_deleted"] = "logged_model_deleted"


class LoggedModelArtifact(Event):
    """A file of a model is stored; it replaces one of the same path."""

    kind: Literal["logged_model_artifact"] = "logged_model_artifact"
    path: Name  # below the model
    uri: Text
    size: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    media_type: Text = ""


class LoggedModelArtifactDeleted(Event):
    """A file of a model, or all files below a path, are no longer part of it."""

    kind: Literal["logged_model_artifact_deleted"] = "logged_model_artifact_deleted"
    path: Text  # empty: all files


class ModelPoint(BaseModel):
    """One value of a metric of a model, measured in a run, maybe on a dataset."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    value: Number
    time: Time
    step: Step = 0
    run_id: Name
    dataset_name: IndexedText = ""
    dataset_digest: IndexedText = ""


class LoggedModelMetrics(Event):
    """Points of metrics of a model. A second point with the same name, time, step and run is not kept."""

    kind: Literal["logged_model_metrics"] = "logged_model_metrics"
    metrics: Annotated[list[ModelPoint], Field(min_length=1)]
