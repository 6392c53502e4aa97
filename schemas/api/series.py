"""
Charts of series: columns of points, exact in what they show. Also lists of series, aggregates of groups, histograms.

Values that JSON lacks are "NaN", "Infinity" and "-Infinity"; times are µs since 1970-01-01 UTC.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from schemas.api.runs import POINTS_DROPPED

AS_OF = "partition:offset[,partition:offset...]: everything below is in this answer"
NEXT = "pass it as page_token; null: this is the last page"


class ChartColumns(BaseModel):
    """Points by step, then time."""

    steps: list[int]
    times: list[int]
    values: list[float | str]


class ChartMark(BaseModel):
    """Points that are not finite: of one point of an exact chart, or of one bucket."""

    step: int = Field(description="of the first of them that was recorded")
    time: int
    count: int
    kinds: list[str] = Field(description='"NaN", "Infinity", "-Infinity", of all of them')


class ReplacedPoints(BaseModel):
    """Points of an attempt that later attempts repeated."""

    attempt: int
    from_step: int = Field(description="these and later steps of the attempt are superseded")
    in_range: int
    exact: bool
    columns: ChartColumns


class SeriesChartDocument(BaseModel):
    """The chart of one written series of a run."""

    run_id: str
    series: str = Field(description="written name, see schemas/names.py")
    name: str
    step_name: str
    labels: dict[str, str]
    count: int = Field(description="points of all attempts, superseded ones included")
    in_range: int = Field(description="points of the range that are not superseded")
    exact: bool = Field(description="true: columns have all points of the range; false: corners of its buckets")
    non_finite: int = Field(description="points of all attempts that are not finite")
    last_step: int
    last: float | str
    min: float | str | None = Field(description="of finite values; null: there is none")
    max: float | str | None
    goal: str = Field(default="", description="which values are better, if code says so")
    unit: str = ""
    columns: ChartColumns
    marks: list[ChartMark]
    attempts: list[ReplacedPoints] = Field(default_factory=list, description="what later attempts replaced, if asked")
    points_dropped: int | None = Field(default=None, description=POINTS_DROPPED)


class ChartsPage(BaseModel):
    """Charts of series, by run, then by name."""

    as_of: str = Field(description=AS_OF)
    series: list[SeriesChartDocument]
    total: int = Field(description="series that match, on all pages")
    next_page_token: str | None = Field(description=NEXT)


class SeriesIndex(BaseModel):
    """Series without points, as columns."""

    as_of: str = Field(description=AS_OF)
    run_id: list[str]
    series: list[str] = Field(description="written names")
    count: list[int]
    non_finite: list[int]
    last_step: list[int]
    last_time: list[int]
    last: list[float | str]
    min: list[float | str | None] = Field(description="of finite values; null: there is none")
    max: list[float | str | None]
    total: int = Field(description="series that match, on all pages")
    next_page_token: str | None = Field(description=NEXT)


class GroupedSeries(BaseModel):
    """One series over the runs of a group: of each bucket of steps statistics of what the runs have there."""

    series: str
    steps: list[int] = Field(description="last step of each bucket at which a run has a value")
    count: list[int] = Field(description="runs with a finite value in the bucket")
    mean: list[float]
    median: list[float]
    std: list[float | None] = Field(description="of the sample (divided by count - 1); null: one run")
    stderr: list[float | None] = Field(description="std divided by the square root of count")
    min: list[float]
    max: list[float]
    ci95_low: list[float | None] = Field(description="mean - t * stderr, t of Student's distribution at 0.975")
    ci95_high: list[float | None]


class RunGroup(BaseModel):
    """Runs that are equal in what they are grouped by."""

    key: list[Any] = Field(description="a value for each part of group_by, null: the runs have none")
    runs: int
    run_ids: list[str] = Field(description="the first 100 of them")
    series: list[GroupedSeries]


class GroupsOfRuns(BaseModel):
    """Groups of runs, the largest first."""

    as_of: str = Field(description=AS_OF)
    groups: list[RunGroup]
    exact: bool = Field(description="false: a series is too long to be read whole, or retention dropped its points")


class HistogramsOfSeries(BaseModel):
    """Histograms of one name over steps."""

    as_of: str = Field(description=AS_OF)
    steps: list[int]
    times: list[int]
    edges: list[list[float | str]] = Field(description="of each histogram, rising: one more than counts")
    counts: list[list[float | str]]
    exact: bool = Field(description="true: these are all of them")
    total: int


class SeriesRow(BaseModel):
    """New points of a series, in the order of the log."""

    run_id: str
    series: str = Field(description="written name")
    name: str
    step_name: str
    labels: dict[str, str]
    attempt: int
    partition: int
    offset: int = Field(description="of the last record in it: an answer whose as_of is above it has these points")
    count: int = Field(description="points that were recorded")
    first_offset: int | None = Field(default=None, description="of the first record, where several are coalesced")
    left_out: int | None = Field(default=None, description="points that are not in columns, where some are left out")
    columns: ChartColumns


class SeriesDeltas(BaseModel):
    """Points folded after some offsets."""

    as_of: str = Field(description=AS_OF)
    series: list[SeriesRow]
    too_old: bool = Field(description="true: the log cannot say; read the series again")
    reason: str = Field(description="why it cannot")
