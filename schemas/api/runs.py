"""
Runs: the list, everything about one but its points and its steps, and how far it is.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from schemas.runlog import LifecycleStage, RunState

POINTS_DROPPED = "µs, when `gateway retention` dropped the points of the run; null while they are kept"


class RunSummary(BaseModel):
    """One entry of the list of runs."""

    run_id: str
    name: str
    tag: str = ""
    group: str = ""
    experiment_id: str = Field(default="", description="of the experiment of this name; empty: none is registered")
    experiment: str = Field(default="", description="name of the experiment: the tag, or what it is called by now")
    lifecycle_stage: LifecycleStage = "active"
    state: RunState
    message: str = ""
    created: int = Field(description="µs since 1970-01-01 UTC, from the first event")
    started: int | None = Field(default=None, description="µs")
    ended: int | None = Field(default=None, description="µs")
    updated: int = Field(description="µs, newest event time")
    attempt: int = 1
    points: int = 0
    params: dict[str, str | int | float | bool | list[object] | dict[str, object] | None] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    last: dict[str, float | str] = Field(default_factory=dict, description="last value of each series, by written name")
    best: dict[str, float] = Field(
        default_factory=dict,
        description="lowest or highest finite value, over all attempts, of metrics that code gave a goal; at most 100",
    )
    points_dropped: int | None = Field(default=None, description=POINTS_DROPPED)


class RunsPage(BaseModel):
    """One page of runs, the token of the next page, and the log offsets up to which they are folded."""

    runs: list[RunSummary]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description="partition:offset[,partition:offset...]: everything below is in this answer")


class LastPoint(BaseModel):
    """The newest point of a series: that with the highest step, then time, then value."""

    step: int
    time: int = Field(description="µs")
    value: float | str = Field(description='a number, or "NaN", "Infinity", "-Infinity"')
    integer: bool = Field(default=False, description="all values of the series were ints")


class RunDocument(BaseModel):
    """Everything about a run but its points and its steps: what a client of another tracker asks for at once."""

    run_id: str
    name: str
    tag: str = ""
    group: str = ""
    experiment_id: str = ""
    experiment: str = ""
    lifecycle_stage: LifecycleStage = "active"
    state: RunState
    message: str = ""
    parent_run_id: str = ""
    created: int = Field(description="µs since 1970-01-01 UTC, from the first event")
    started: int | None = Field(default=None, description="µs")
    ended: int | None = Field(default=None, description="µs")
    updated: int = Field(description="µs, newest event time")
    attempt: int = 1
    params: dict[str, object] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, object] = Field(default_factory=dict)
    metrics: dict[str, LastPoint] = Field(default_factory=dict, description="by written name, see schemas/names.py")


class RunDocumentsPage(BaseModel):
    """One page of run documents."""

    runs: list[RunDocument]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description="partition:offset[,partition:offset...]: everything below is in this answer")


class LastStep(BaseModel):
    """The largest step of a series over all attempts."""

    step_name: str
    name: str
    labels: dict[str, str]
    step: int


class RunProgress(BaseModel):
    """How far a run is. A process that continues the run counts from there."""

    run_id: str
    attempt: int = Field(description="the newest")
    is_deleted: bool
    is_complete: bool = Field(description="false: there are more series than an answer holds")
    steps: list[LastStep]
