"""
Series and points of runs.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from schemas.api.runs import POINTS_DROPPED
from schemas.columns import float_to_json


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


def number(value: float | None) -> float | str | None:
    """Return a float in the form of these documents."""
    return None if value is None else float_to_json(value)
