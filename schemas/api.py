"""
Answers of the query API as models. The dashboard, `gateway runs` and scripts read them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.columns import float_to_json
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


class Position(BaseModel):
    """A position in the log: the next offset to read in one partition."""

    partition: int
    offset: int


class SeriesData(BaseModel):
    """One series: all points, or exact first/min/max/last of each bucket."""

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
    total: int = Field(description="series that match, on all pages")
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    points_dropped: int | None = Field(default=None, description=POINTS_DROPPED)


class HistoryPage(BaseModel):
    """Points of one series as they were recorded, without those that a later attempt repeated."""

    run_id: str
    series: str = Field(description="written name, see schemas/names.py")
    points: list[tuple[int, int, float | str]] = Field(description="[step, time in µs, value], as recorded")
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")
    points_dropped: int | None = Field(default=None, description=POINTS_DROPPED)


class PointColumns(BaseModel):
    """Points of one run as columns."""

    run_id: str
    steps: list[int]
    times_ms: list[int]
    values: list[float | str]


class PointsPage(BaseModel):
    """Points of a series in several runs. A run has any number of entries in a row, none without points."""

    runs: list[PointColumns]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")


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


class ArtifactEntry(BaseModel):
    """An artifact of a run, or a folder of artifacts."""

    path: str = Field(description='name of the artifact in the run; "/" separates folders')
    is_dir: bool
    size: int | None = Field(default=None, description="bytes; of a folder, of all files below it; null: not known")
    files: int = Field(default=1, description="files below a folder; 1 for a file")
    time: int = Field(description="µs, when it was logged; of a folder, its newest file")
    sha256: str = Field(default="", description='64 hex digits; "": not known, or a folder')
    media_type: str = ""
    uri: str = Field(default="", description="place of the bytes, as the producer recorded it; never trust it blindly")
    stored: bool = Field(default=False, description="the bytes are in an artifact store; false: a reference to a place")
    step_name: str = ""
    attempt: int = 1


class ArtifactsPage(BaseModel):
    """Artifacts of one run, by path."""

    run_id: str
    path: str
    artifacts: list[ArtifactEntry]
    next_page_token: str | None = Field(default=None, description="pass it as page_token; null: this is the last page")


class PartitionLag(BaseModel):
    """How far one consumer has read one partition."""

    consumer: str
    partition: int
    offset: int = Field(description="next offset to read; the first of the log where it has not read yet")
    end: int | None = Field(default=None, description="end of the log, null when Kafka cannot be reached")
    lag: int | None = Field(default=None, description="records of the log that are not applied, null without end")


class DeliveryStatus(BaseModel):
    """Status of one tracker."""

    tracker: str
    runs: int
    parked: int = Field(description="runs that this tracker refuses; other runs continue")
    last_error: str = ""
    state: Literal["running", "paused", "circuit open", "stopped", "one-off"] = Field(
        default="running",
        description="circuit open: the tracker does not answer, one call at a time is tried; stopped: no process; "
        "one-off: no process, and it only ever received runs that a replay chose",
    )
    follows: bool = Field(
        default=True, description="it receives the whole log, so it has a lag; false: only runs that a replay chose"
    )
    paused: bool = Field(default=False, description="`gateway trackers pause` has paused its deliveries")
    waiting: int = Field(default=0, description="runs whose last call failed and will be tried again")
    behind: int = Field(default=0, description="runs that are reread from their own offset")
    in_doubt: int = Field(default=0, description="runs with a call whose result is unknown; it will be tried again")
    circuit_since: int | None = Field(default=None, description="µs; when the tracker stopped answering")
    retry_at: int | None = Field(default=None, description="µs; when the next call will be tried")


class NewestDeadLetter(BaseModel):
    """A record that can never be folded and has no decision yet."""

    id: str = Field(description="topic:partition:offset, as `gateway dead-letters` expects it")
    run: str | None = Field(description="the record's key; null if it has none")
    kind: str = Field(description="class of schemas/errors.py")
    reason: str
    time: int = Field(description="ms since 1970-01-01 UTC, the timestamp that the broker stores")


class Status(BaseModel):
    """Health of everything that reads the log."""

    lag: list[PartitionLag]
    dead_letters: int | None = Field(
        description="dead letters that are neither replayed nor discarded; null while PostgreSQL does not say"
    )
    newest_dead_letter: NewestDeadLetter | None = None
    deliveries: list[DeliveryStatus]
    problems: list[str] = Field(default_factory=list, description="what is missing in this answer, and why")


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


class DecisionDocument(BaseModel):
    """What became of one request about an experiment, a model or a logged model."""

    collection: str
    producer: str
    seq: int
    subject_id: str = Field(description="id of the experiment, name or id of the model, that the request was about")
    kind: str = Field(description="of the event, see schemas/events")
    outcome: Literal["done", "exists", "absent", "deleted", "active", "too_large"]
    reason: str = Field(description="for people; empty if it was done")
    result: dict[str, str | int | bool] = Field(description="what the request made or met")
    time: int = Field(description="µs, of the request")
    log_offset: int


def number(value: float | None) -> float | str | None:
    """Return a float in the form of these documents."""
    return None if value is None else float_to_json(value)
