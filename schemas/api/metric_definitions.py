"""
What code says of metrics, of one run or of many.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.bounds import MAX_NAME, MAX_RUN_ID
from schemas.events.facts import Aggregate, Goal

MAX_RUNS_ASKED = 1_000
RunIdText = Annotated[str, Field(max_length=MAX_RUN_ID, pattern=r"^[^\x00]*$")]


class MetricDefinition(BaseModel):
    """What a metric means. Which definition counts for a series is in schemas/metric_definitions.py."""

    name: str = Field(description="written name of a series, or a pattern in which * stands for any text")
    goal: Goal = Field(description="which values are better; empty: not said")
    unit: str
    panel: str = Field(description="title of the chart that it belongs to")
    x: str = Field(description="written name of the series that is its x axis; empty: the step")
    alarm: str = Field(description="condition of an alert on its values")
    description: str
    hidden: bool
    summary: Aggregate = Field(description="the number that stands for it; empty: the best by goal, else the last")
    time: int = Field(description="µs since 1970-01-01 UTC, when it was said")


class MetricDefinitionsPage(BaseModel):
    """One page of the definitions of a run, by name."""

    run_id: str
    definitions: list[MetricDefinition]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description="partition:offset[,partition:offset...]: everything below is in this answer")


class DefinitionsQuestion(BaseModel):
    """Of which runs definitions are asked for: these, or all of an experiment."""

    model_config = ConfigDict(extra="forbid")

    runs: Annotated[list[RunIdText], Field(max_length=MAX_RUNS_ASKED)] | None = None
    experiment: RunIdText | None = Field(default=None, description="id of an experiment")
    page_token: Annotated[str, Field(max_length=MAX_NAME, pattern=r"^[^\x00]*$")] | None = None
    min_offsets: Annotated[str, Field(max_length=100_000)] | None = None
    timeout_s: Annotated[float, Field(ge=0, le=60)] = 10.0


class CommonDefinition(MetricDefinition):
    """A definition that several runs have, with the same text but for its time."""

    time: int = Field(description="µs since 1970-01-01 UTC, when it was last said")
    runs: int = Field(description="how many of the runs have it")
    run_ids: list[str] | None = Field(description="which runs; null if an experiment was asked for")
    variants: int = Field(description="how many different definitions of this name the runs have; 100 are shown")


class CommonDefinitionsPage(BaseModel):
    """One page of the definitions of several runs, by name; of one name the most common first."""

    definitions: list[CommonDefinition]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description="partition:offset[,partition:offset...]: everything below is in this answer")
