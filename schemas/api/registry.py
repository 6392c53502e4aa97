"""
Experiments, registered models, and what became of requests about them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Experiment(BaseModel):
    """An experiment, deleted or not."""

    experiment_id: str
    name: str
    former_names: list[str] = Field(description="names that it had, and that no other experiment has or had since")
    state: Literal["active", "deleted"]
    description: str
    artifact_location: str
    tags: dict[str, str]
    created: int = Field(description="µs since 1970-01-01 UTC")
    updated: int = Field(description="µs")


class ExperimentsPage(BaseModel):
    """One page of experiments, newest first."""

    experiments: list[Experiment]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description="partition:offset[,partition:offset...]: everything below is in this answer")


class ModelVersionDocument(BaseModel):
    """One version of a registered model."""

    name: str = Field(description="of the model")
    version: int
    source: str = Field(description="URI of its files")
    run_id: str = Field(description="the run that stored them; empty if none is known")
    run_link: str = Field(default="", description="URL of a page about the run")
    location: str = Field(default="", description="URI of its files where source names another model; else empty")
    stage: Literal["None", "Staging", "Production", "Archived"]
    aliases: list[str]
    description: str
    tags: dict[str, str]
    created: int = Field(description="µs since 1970-01-01 UTC")
    updated: int = Field(description="µs")


class ModelDocument(BaseModel):
    """A registered model."""

    name: str
    description: str
    tags: dict[str, str]
    aliases: dict[str, int] = Field(description="the version that each alias names")
    versions: int = Field(description="how many versions it has")
    created: int = Field(description="µs since 1970-01-01 UTC")
    updated: int = Field(description="µs; newest change of the model or of a version")
    latest: list[ModelVersionDocument] | None = Field(
        default=None, description="the newest version of each stage; null in a list of models"
    )


class ModelsPage(BaseModel):
    """One page of registered models, newest first."""

    models: list[ModelDocument]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description="partition:offset[,partition:offset...]: everything below is in this answer")


class ModelVersionsPage(BaseModel):
    """One page of versions, newest model and highest number first."""

    versions: list[ModelVersionDocument]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description="partition:offset[,partition:offset...]: everything below is in this answer")


class DecisionDocument(BaseModel):
    """What became of one request about an experiment, a model or a logged model."""

    collection: str
    producer: str
    seq: int
    subject_id: str = Field(description="id of the experiment, name or id of the model, that the request was about")
    kind: str = Field(description="of the event, see schemas/events")
    outcome: Literal["done", "exists", "absent", "deleted", "active", "too_large", "changed"]
    reason: str = Field(description="for people; empty if it was done")
    result: dict[str, str | int | bool] = Field(description="what the request made or met")
    time: int = Field(description="µs, of the request")
    log_offset: int
