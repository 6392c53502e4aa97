"""
What the query API answers, as models: the dashboard, `gateway runs` and scripts read these.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from schemas.columns import float_to_json
from schemas.runlog import RunState

POINTS_DROPPED = "µs, when `gateway retention` dropped the points of the run; null while they are there"


class RunSummary(BaseModel):
    """One line of the list of runs."""

    run_id: str
    name: str
    tag: str = ""
    group: str = ""
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
    points_dropped: int | None = Field(default=None, description=POINTS_DROPPED)


class RunsPage(BaseModel):
    """Some of the runs, where the next ones are, and how far the log is folded in them."""

    runs: list[RunSummary]
    next_page_token: str | None = Field(default=None, description="give it as page_token; null: these were the last")
    as_of: str = Field(description="partition:offset[,partition:offset...]: everything below is in this answer")


class Position(BaseModel):
    """A place in the log: the next offset to read of one partition."""

    partition: int
    offset: int


class SeriesData(BaseModel):
    """One series, whole or as exact first/min/max/last of each bucket."""

    series: str = Field(description="written name, see schemas/names.py")
    name: str
    step_name: str
    labels: dict[str, str] = Field(default_factory=dict)
    count: int
    non_finite: int = 0
    last_step: int
    last: float | str
    min: float | str | None = None
    max: float | str | None = None
    points: list[tuple[int, int, float | str]] = Field(description="[step, time in µs, value], by (step, time)")


class SeriesPage(BaseModel):
    """Series of one run, complete up to `as_of`: a stream that starts there has no gap and no overlap."""

    run_id: str
    as_of: Position
    series: list[SeriesData]
    points_dropped: int | None = Field(default=None, description=POINTS_DROPPED)


class PartitionLag(BaseModel):
    """How far one consumer is in one partition."""

    consumer: str
    partition: int
    offset: int = Field(description="next offset to read")
    end: int | None = Field(default=None, description="end of the log, null when Kafka cannot be asked")
    lag: int | None = None


class DeliveryStatus(BaseModel):
    """How one tracker stands."""

    tracker: str
    runs: int
    parked: int = Field(description="runs that this tracker refuses; the others go on")
    last_error: str = ""
    state: Literal["running", "paused", "circuit open", "stopped"] = Field(
        default="running",
        description="circuit open: it does not answer, one call at a time is tried; stopped: no process",
    )
    paused: bool = Field(default=False, description="`gateway trackers pause` holds its deliveries back")
    waiting: int = Field(default=0, description="runs whose last call failed and is tried again")
    behind: int = Field(default=0, description="runs that are read again from their own offset")
    in_doubt: int = Field(default=0, description="runs of which a call had no result, and that are tried again")
    circuit_since: int | None = Field(default=None, description="µs; when the tracker stopped answering")
    retry_at: int | None = Field(default=None, description="µs; when the next call is tried")


class NewestDeadLetter(BaseModel):
    """A record that can never be folded, and about which nobody decided yet."""

    id: str = Field(description="topic:partition:offset, as `gateway dead-letters` takes it")
    run: str | None = Field(description="the record's key; null when it has none")
    kind: str = Field(description="class of schemas/errors.py")
    reason: str
    time: int = Field(description="ms since 1970-01-01 UTC, as the broker keeps it")


class Status(BaseModel):
    """The health of everything behind the log."""

    lag: list[PartitionLag]
    dead_letters: int = Field(description="parked records that were neither replayed nor discarded")
    newest_dead_letter: NewestDeadLetter | None = None
    deliveries: list[DeliveryStatus]


def number(value: float | None) -> float | str | None:
    """Return a float as these documents hold it."""
    return None if value is None else float_to_json(value)
