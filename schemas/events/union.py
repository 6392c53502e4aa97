"""
Every kind of event, version 1.

One Kafka record holds one event of one producer for one run; metrics, values and text are columnar or listed, so one
record holds many points. Within a version changes are additive: readers ignore fields they do not know. Times are
microseconds since 1970-01-01 UTC, taken by the producer. `step_name` is the named step of the run that was open
("main" when the training code opened none), `attempt` counts from 1; both have nothing to do with the numeric
`step` of a metric.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from schemas.columns import FloatColumn, IntColumn
from schemas.values import Typed

VERSION = "1"
MAIN_STEP = "main"
MAX_NAME = 1_024  # characters; the longest any tracker of section 5 of the survey accepts (Neptune Scale)


def _no_nul(text: str) -> str:
    if "\x00" in text:  # PostgreSQL cannot hold it in text or jsonb
        raise ValueError("a name must not contain the character U+0000")
    return text


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, strict=True), AfterValidator(_no_nul)]
Text = Annotated[str, Field(strict=True), AfterValidator(_no_nul)]
Time = Annotated[int, Field(ge=0, le=2**62, strict=True, description="µs since 1970-01-01 UTC")]
Count = Annotated[int, Field(ge=0, le=2**62, strict=True)]
Attempt = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Labels = dict[Name, Text]


class Event(BaseModel):
    """One fact about a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: Time


class Scoped(Event):
    """A fact about one attempt of one named step."""

    step_name: Name = MAIN_STEP
    attempt: Attempt = 1


class _RunOpened(Event):
    attempt: Attempt = 1
    name: Text = ""
    tag: Text = ""  # groups runs into an experiment (Magnus, seeds 001 and 002)
    group: Text = ""  # runs of one sweep or job
    parent_run_id: Text = ""
    original_run_id: Text = ""
    dag_hash: Text = ""
    use_cached: bool = False
    run_config: dict[str, Any] = Field(default_factory=dict)


class RunCreated(_RunOpened):
    """A run is known and has not started."""

    kind: Literal["run_created"] = "run_created"


class RunStarted(_RunOpened):
    """A run starts its first attempt."""

    kind: Literal["run_started"] = "run_started"


class RunResumed(_RunOpened):
    """A run goes on in a new attempt, for example from a checkpoint."""

    kind: Literal["run_resumed"] = "run_resumed"


class _RunEnded(Event):
    attempt: Attempt = 1
    message: Text = ""
    batches: Count | None = None  # of this producer for this run, this record included


class RunFinished(_RunEnded):
    """The training code ended well."""

    kind: Literal["run_finished"] = "run_finished"


class RunFailed(_RunEnded):
    """The training code raised; `message` says what."""

    kind: Literal["run_failed"] = "run_failed"


class RunKilled(_RunEnded):
    """The run was stopped from outside: a signal, a scheduler, a person."""

    kind: Literal["run_killed"] = "run_killed"


class StepStarted(Scoped):
    """A named step begins."""

    kind: Literal["step_started"] = "step_started"
    name: Text = ""
    step_type: Text = "task"
    mock: bool = False


class StepFinished(Scoped):
    """A named step is over."""

    kind: Literal["step_finished"] = "step_finished"
    status: Literal["success", "fail"] = "success"
    message: Text = ""


class AttemptStarted(Scoped):
    """One try of a step begins."""

    kind: Literal["attempt_started"] = "attempt_started"


class AttemptFinished(Scoped):
    """One try of a step is over."""

    kind: Literal["attempt_finished"] = "attempt_finished"
    status: Literal["success", "fail"] = "success"
    message: Text = ""


class Heartbeat(Event):
    """The producer is alive."""

    kind: Literal["heartbeat"] = "heartbeat"


class ProducerClosed(Event):
    """A producer says how much it sent, so that a run log can say how much is missing."""

    kind: Literal["producer_closed"] = "producer_closed"
    batches: Count  # records of this producer for this run, this one included
    points: Count  # metric points in them
    dropped: Count = 0  # metric points refused at a bound, never sent


class Series(BaseModel):
    """Points of one series: three columns of the same length."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    labels: Labels = Field(default_factory=dict)
    integer: bool = False  # every value was an int: documents show 42, not 42.0
    steps: IntColumn
    times: IntColumn
    values: FloatColumn

    @model_validator(mode="after")
    def _same_length(self) -> Series:
        if not len(self.steps) == len(self.times) == len(self.values) > 0:
            raise ValueError(
                f"columns of {self.name!r:.80} have {len(self.steps)} steps, {len(self.times)} times "
                f"and {len(self.values)} values"
            )
        return self


class Metrics(Scoped):
    """Numeric points."""

    kind: Literal["metrics"] = "metrics"
    series: Annotated[list[Series], Field(min_length=1)]


class SystemMetrics(Scoped):
    """Numeric points about the machine: CPU, memory, GPU; names start with `system/`."""

    kind: Literal["system_metrics"] = "system_metrics"
    series: Annotated[list[Series], Field(min_length=1)]


class Observation(BaseModel):
    """One value that is not a number, or an integer that float64 cannot hold."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    labels: Labels = Field(default_factory=dict)
    step: Annotated[int, Field(ge=-(2**63), le=2**63 - 1, strict=True)] = 0
    time: Time
    value: Typed


class Values(Scoped):
    """Observations that are not numbers: strings, booleans, JSON, histograms."""

    kind: Literal["values"] = "values"
    values: Annotated[list[Observation], Field(min_length=1)]


class Params(Scoped):
    """Inputs of an attempt, by name. A later value of the same name wins within the attempt."""

    kind: Literal["params"] = "params"
    params: Annotated[dict[Name, Typed], Field(min_length=1)]


class Tags(Event):
    """Words to find a run by. Last value of a key wins."""

    kind: Literal["tags"] = "tags"
    tags: Annotated[dict[Name, Text], Field(min_length=1)]


class RunLabels(Event):
    """JSON about a run that nobody filters by (seed 003, `set_labels`). Last value of a key wins."""

    kind: Literal["labels"] = "labels"
    labels: Annotated[dict[Name, Typed], Field(min_length=1)]


class Note(Event):
    """What a person wrote about the run; the last one wins."""

    kind: Literal["note"] = "note"
    text: Text


class Artifact(Scoped):
    """A reference to bytes kept in an artifact store."""

    kind: Literal["artifact"] = "artifact"
    name: Name
    uri: Text
    size: Count | None = None  # bytes
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    media_type: Text = ""
    stage: Literal["put", "get"] = "put"


class ConsoleText(Scoped):
    """Console lines."""

    kind: Literal["text"] = "text"
    stream: Literal["stdout", "stderr", "log"] = "stdout"
    lines: Annotated[list[Text], Field(min_length=1)]
    times: IntColumn

    @model_validator(mode="after")
    def _same_length(self) -> ConsoleText:
        if len(self.lines) != len(self.times):
            raise ValueError(f"{len(self.lines)} lines have {len(self.times)} times")
        return self


class CodeIdentity(Scoped):
    """Which code ran."""

    kind: Literal["code"] = "code"
    code_identifier: Text
    code_identifier_type: Text = "git"
    code_identifier_dependable: bool = False  # nothing uncommitted
    code_identifier_url: Text = ""
    code_identifier_message: Text = ""
    diff_sha256: Text = ""


class Environment(Event):
    """Where the run runs: command line, host, Python, packages."""

    kind: Literal["environment"] = "environment"
    values: Annotated[dict[Name, Typed], Field(min_length=1)]


class Deleted(Event):
    """
    A run, or a named part of it, is gone for every reader; the log keeps the fact.

    Of a part, what the log has before it: what comes later under the name is new. A series goes in all its steps,
    attempts and labels, with its observations. A run is gone for good.
    """

    kind: Literal["deleted"] = "deleted"
    what: Literal["run", "series", "param", "tag", "label", "artifact"]
    name: Text = ""


class Renamed(Event):
    """
    A run, or a named part of it, has a new name.

    It concerns what the log has before it. Where the new name is taken, by a series of the same step, attempt and
    labels, a parameter of the run, or a tag, both stay as they are. What comes later under the old name is a part of
    its own; points that come later under the new name continue the renamed series. Observations go with their series.
    """

    kind: Literal["renamed"] = "renamed"
    what: Literal["run", "series", "param", "tag"]
    old: Text = ""
    new: Name


AnyEvent = Annotated[
    RunCreated | RunStarted | RunResumed | RunFinished | RunFailed | RunKilled
    | StepStarted | StepFinished | AttemptStarted | AttemptFinished | Heartbeat | ProducerClosed
    | Metrics | SystemMetrics | Values | Params | Tags | RunLabels | Note | Artifact | ConsoleText
    | CodeIdentity | Environment | Deleted | Renamed,
    Field(discriminator="kind"),
]  # fmt: skip
