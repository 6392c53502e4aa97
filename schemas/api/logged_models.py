"""
Logged models.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.api.artifacts import ArtifactEntry


class ModelPointDocument(BaseModel):
    """One value of a metric of a logged model."""

    name: str
    value: float | str = Field(description='"NaN", "Infinity" and "-Infinity" are texts')
    time: int = Field(description="µs since 1970-01-01 UTC")
    step: int
    run_id: str = Field(description="the run that measured it")
    dataset_name: str = Field(description="what it was measured on; empty if nothing is known")
    dataset_digest: str


class LoggedModelDocument(BaseModel):
    """A logged model, deleted or not."""

    model_id: str
    experiment_id: str
    name: str
    model_type: str
    source_run_id: str = Field(description="the run that stored its files; empty if none is known")
    artifact_location: str = Field(description="URI below which its files are; empty: see its artifacts")
    status: Literal["unspecified", "pending", "ready", "failed"]
    state: Literal["active", "deleted"]
    params: dict[str, str]
    tags: dict[str, str]
    points: list[ModelPointDocument] = Field(description="in the order of the log")
    created: int = Field(description="µs since 1970-01-01 UTC")
    updated: int = Field(description="µs; when it got its status, or was deleted")


class DatasetChoice(BaseModel):
    """A dataset; what is empty may be anything."""

    name: str = ""
    digest: str = ""


class LoggedModelOrder(BaseModel):
    """By what logged models are sorted: a fact, or the last value of a metric (on a dataset). Without one: last."""

    key: str = Field(description="created, name, ..., or metrics.NAME")
    descending: bool = False
    dataset: DatasetChoice | None = None


class LoggedModelsQuestion(BaseModel):
    """Which logged models are wanted; deleted ones never are."""

    model_config = ConfigDict(extra="forbid")

    experiment_ids: list[str] | None = Field(default=None, max_length=10_000, description="null: of all experiments")
    where: str = Field(default="", max_length=20_000)
    datasets: list[DatasetChoice] = Field(
        default=[], max_length=100, description="a metric of `where` is one on any of these, or else some metric is"
    )
    order_by: list[LoggedModelOrder] = Field(default=[], max_length=20, description="then created, newest first")
    limit: int = Field(default=100, ge=1, le=10_000)
    offset: int = Field(default=0, ge=0, le=2**31)
    min_offsets: str | None = None
    timeout_s: float = Field(default=10.0, ge=0, le=60)


class LoggedModelsPage(BaseModel):
    """Some logged models, in the order that was asked for."""

    models: list[LoggedModelDocument]
    next_offset: int | None = Field(default=None, description="where the next page starts; null: this is the last")
    as_of: str = Field(description="partition:offset[,partition:offset...]: everything below is in this answer")


class LoggedModelArtifacts(BaseModel):
    """Files of one logged model, by path."""

    model_id: str
    path: str
    artifacts: list[ArtifactEntry]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
