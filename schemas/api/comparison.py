"""
Comparisons of runs: what differs, and the first step at which two runs part.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from schemas.api.tables import AS_OF


class DiffRow(BaseModel):
    """One thing that runs have, by key."""

    key: str
    values: list[Any] = Field(description="one a run, in the order of the question; null: the run has none")
    differs: bool
    cut: bool = Field(description="a value is long, and only its beginning is here")


class DiffSection(BaseModel):
    """Rows of one kind, by key."""

    name: str
    rows: list[DiffRow]


class RunsDiff(BaseModel):
    """What runs have, or only what differs."""

    run_ids: list[str]
    sections: list[DiffSection]
    cut: list[str] = Field(description="sections of which only the first keys are here, because there are too many")
    as_of: str = Field(description=AS_OF)


class SeriesDivergence(BaseModel):
    """Two runs' series of one name: the first step at which their values differ, null where they do not."""

    series: str
    step: int | None
    a: float | str | None
    b: float | str | None
    time_a: int | None = Field(description="µs")
    time_b: int | None
    compared: int = Field(description="steps that both have, up to the one at which they differ")
    only_a: int = Field(description="steps up to there that only run a has")
    only_b: int


class Divergence(BaseModel):
    """Where two runs part: the lowest step at which any of their series differ."""

    first: SeriesDivergence | None
    series: list[SeriesDivergence]
    compared: int = Field(description="series that both runs have and that were compared")
    only_a: list[str] = Field(description="series that only run a has")
    only_b: list[str]
    left: list[str] = Field(description="series that were not compared, because the answer took too long")
    exact: bool = Field(description="whether no series is left")
    as_of: str = Field(description=AS_OF)
