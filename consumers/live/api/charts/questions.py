"""
What questions about series have in common. A question that cannot be understood is answered with 400.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from consumers.live.api.errors import Failure
from consumers.live.api.run_documents import RunId
from consumers.live.api.tables.questions import Consistent
from consumers.store.read.charts.chart import RangeTooScattered
from consumers.store.read.charts.found import Match, RunCharted
from consumers.store.read.charts.summaries import ALL, Window

MAX_RUNS_ASKED = 1_000
MAX_NAMES_ASKED = 1_000
MAX_BUCKETS = 10_000  # of one chart; no screen has more pixels
MAX_POINTS = 200_000  # in one answer; about 8 MB
MAX_SERIES = 10_000
MAX_TOKEN = 30_000  # characters; of control characters in names six times as many become base64
Name = Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"^[^\x00]*$")]
RunIds = Annotated[list[RunId], Field(min_length=1, max_length=MAX_RUNS_ASKED)]
Names = Annotated[list[Name], Field(min_length=1, max_length=MAX_NAMES_ASKED)]
Buckets = Annotated[int, Field(ge=1, le=MAX_BUCKETS)]
Number = Annotated[int | float, Field(ge=-(2**63), le=2**63 - 1)]
Token = Annotated[str, Field(max_length=MAX_TOKEN)]


class MatchQuestion(BaseModel):
    """Which written names are wanted; one of these."""

    model_config = ConfigDict(extra="forbid")

    regex: Name | None = Field(default=None, description="regular expression of PostgreSQL, anywhere in the name")
    prefix: Name | None = Field(default=None, description="the name begins with it")
    words: str | None = Field(
        default=None, max_length=1_000, pattern=r"^[^\x00]*$", description="the name contains each, in any case"
    )


class RangeQuestion(BaseModel):
    """Which points are wanted; both ends are included."""

    model_config = ConfigDict(extra="forbid")

    axis: Literal["step", "time", "relative"] = Field(
        default="step", description="times are µs since 1970-01-01 UTC; relative: µs since the run began"
    )
    from_: Number | None = Field(default=None, alias="from")
    to: Number | None = None

    @model_validator(mode="after")
    def _is_range(self) -> RangeQuestion:
        if self.from_ is not None and self.to is not None and self.from_ > self.to:
            raise ValueError("`from` must not be above `to`")
        return self

    def window(self, run: RunCharted) -> Window:
        """Return the bounds of this range in a run."""
        low = ALL.min_step if self.from_ is None else math.ceil(self.from_)
        high = ALL.max_step if self.to is None else min(math.floor(self.to), ALL.max_step)
        if self.axis == "step":
            return Window(low, high)
        if self.axis == "relative":
            low = low if self.from_ is None else min(max(low + run.began, ALL.min_time), ALL.max_time)
            high = high if self.to is None else min(max(high + run.began, ALL.min_time), ALL.max_time)
        return Window(min_time=low, max_time=high)


class SeriesQuestion(Consistent):
    """Which series of which runs are asked for."""

    runs: RunIds
    names: Names | None = Field(default=None, description="written names; null: every series that matches")
    match: MatchQuestion | None = None

    def matching(self) -> Match:
        """Return the condition on written names."""
        match = self.match or MatchQuestion()
        return Match(self.names, (match.words or "").split(), match.regex, match.prefix)


@contextmanager
def refuse_scattered() -> Iterator[None]:
    """Answer 400 where a range cannot be read."""
    try:
        yield
    except RangeTooScattered as error:
        next_step = "ask without a range or for a range of times, or export every point with `gateway runs export`"
        raise Failure(400, f"range: {error}", next_step) from None


def refuse_unknown(asked: list[str], known: dict[str, RunCharted]) -> None:
    """Raise Failure 404 for the first run that does not exist."""
    for run_id in asked:
        if run_id not in known:
            raise Failure(
                404,
                f"no run {run_id!r:.300}",
                "list the runs with `gateway runs list` or GET /v1/runs; a new one appears once it is folded",
            )
