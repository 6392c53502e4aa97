"""
The run log: one JSON document per run, with the field names of Magnus (seeds 000 and 001).

Fields that a producer never sent are present with null or empty values. Statuses are those of Magnus. Times are UTC,
`YYYY-MM-DD HH:MM:SS.ffffff`; Magnus writes them naive and local, which cannot be compared between machines.
Steps of a map, parallel or dag node are inside the `branches` of its step, in the steps of their branch.
`user_defined_metrics`: one value is a scalar ("eggs": 50.0), several steps are an object by step
("spam": {"0": "hello", "1": "hey"}); numbers and other values of one name are in one object. If attempts or producers
wrote the same step, the last value is shown.
JSON has no NaN: non-finite numbers are the strings "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RunState = Literal["created", "running", "finished", "failed", "killed", "lost"]
LOST_AFTER_S = 90.0  # without an event; producers send a heartbeat every 30 s
LifecycleStage = Literal["active", "deleted"]  # deleted: in the trash, from which a run can be restored (seed 004)
LogStatus = Literal["CREATED", "PROCESSING", "SUCCESS", "FAIL"]

STATUS: dict[str, LogStatus] = {
    "created": "CREATED",
    "running": "PROCESSING",
    "finished": "SUCCESS",
    "failed": "FAIL",
    "killed": "FAIL",
    "lost": "FAIL",
}


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CodeIdentityLog(_Document):
    """Which code ran."""

    code_identifier: str
    code_identifier_type: str = "git"
    code_identifier_dependable: bool = False
    code_identifier_url: str = ""
    code_identifier_message: str = ""


class AttemptLog(_Document):
    """One try of a step."""

    attempt_number: int
    start_time: str | None = None
    end_time: str | None = None
    duration: str | None = None
    status: LogStatus = "CREATED"
    message: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)


class DataCatalogLog(_Document):
    """A file that a step stored or loaded."""

    name: str
    data_hash: str = ""
    catalog_relative_path: str = ""
    catalog_handler_location: str = ""
    stage: str = "put"


class StepLog(_Document):
    """One named step."""

    name: str
    internal_name: str
    status: LogStatus = "CREATED"
    step_type: str = "task"
    message: str = ""
    mock: bool = False
    code_identities: list[CodeIdentityLog] = Field(default_factory=list)
    attempts: list[AttemptLog] = Field(default_factory=list)
    user_defined_metrics: dict[str, Any] = Field(default_factory=dict)
    branches: dict[str, BranchLog] = Field(default_factory=dict)
    data_catalog: list[DataCatalogLog] = Field(default_factory=list)


class BranchLog(_Document):
    """One branch of a step of type map, parallel or dag; its end decides its status."""

    internal_name: str
    status: LogStatus = "PROCESSING"
    steps: dict[str, StepLog] = Field(default_factory=dict)


class Completeness(_Document):
    """Records that one producer sent, and how many of them arrived."""

    producer: str
    received: int
    expected: int | None = None  # null until the producer has closed
    missing: list[tuple[int, int]] = Field(default_factory=list)  # [first, after last) sequence numbers
    refused_duplicates: int = 0
    dropped_points: int = 0  # dropped and counted by the producer at its own limit, never sent
    author: str = Field(default="", description="who sent its events: of a change over HTTP; empty: not known")


class RunLog(_Document):
    """Everything known about one run."""

    run_id: str
    dag_hash: str = ""
    use_cached: bool = False
    tag: str = ""
    original_run_id: str = ""
    status: LogStatus = "CREATED"
    steps: dict[str, StepLog] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    run_config: dict[str, Any] = Field(default_factory=dict)
    # Fields that the seeds do not have.
    name: str = ""
    group: str = ""
    parent_run_id: str = ""
    state: RunState = "created"
    message: str = ""
    start_time: str | None = None
    end_time: str | None = None
    experiment_id: str = Field(default="", description="of the experiment of this name; empty: none is registered")
    experiment: str = Field(default="", description="name of the experiment: the tag, or what it is called by now")
    lifecycle_stage: LifecycleStage = "active"
    tags: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, Any] = Field(default_factory=dict)
    note: str = ""
    environment: dict[str, Any] = Field(default_factory=dict)
    best: dict[str, float] = Field(
        default_factory=dict,
        description="lowest or highest finite value, over all attempts, of metrics that code gave a goal",
    )
    completeness: list[Completeness] = Field(default_factory=list)
    shortened: dict[str, int] = Field(
        default_factory=dict, description="series with only the last steps shown, and the number of points of each"
    )
    truncated: list[str] = Field(
        default_factory=list, description="parts of which the run has more than this document shows; empty: it has all"
    )
    points_dropped: str | None = Field(
        default=None,
        description="when `gateway retention` dropped the points of this run from PostgreSQL: only the last value of "
        "each series is shown; null while they are kept",
    )


def time_text(time: int | None) -> str | None:
    """Return a time in µs as text of the run log, UTC; None stays None."""
    if time is None:
        return None
    return _datetime(time).strftime("%Y-%m-%d %H:%M:%S.%f")


def duration_text(start: int | None, end: int | None) -> str | None:
    """Return the time between two times in µs as `H:MM:SS.ffffff`; None if one of them is missing."""
    if start is None or end is None:
        return None
    text = str(timedelta(microseconds=max(0, end - start)))
    return text if "." in text else text + ".000000"


def _datetime(time: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=min(time, _MAX_TIME))


_MAX_TIME = 253_402_300_799_000_000  # 9999-12-31, the last day that datetime supports
