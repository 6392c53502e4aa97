"""
The kinds of conditions of a rule.

Times of points are those of their producers; silence is measured between the times at which the log got the records of
a run, because clocks of training machines may be wrong (docs/alerts.md).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False, description="s, at most a year")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    """A part of a rule; a name that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Threshold(Part):
    """
    A value is beyond a bound.

    `of`: each value as it comes, `last` (that of the highest step so far), or the `mean` of the last `points` finite
    ones. The condition must hold for `for_points` points in a row and over `for_s` seconds between times of points.
    NaN is beyond no bound.
    """

    kind: Literal["threshold"] = "threshold"
    op: Literal[">", ">=", "<", "<=", "=", "!="]
    value: Number
    of: Literal["value", "last", "mean"] = "value"
    points: Annotated[int, Field(ge=1, le=10_000)] = 1
    for_points: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    for_s: Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _window_belongs_to_the_mean(self) -> Threshold:
        if (self.points > 1) != (self.of == "mean"):
            raise ValueError("points is the window of the mean: write of: mean with points: 2 or more, or neither")
        return self


class NotFinite(Part):
    """A value is NaN or, unless `infinite` is false, infinite."""

    kind: Literal["nan"] = "nan"
    infinite: bool = True


class NoNews(Part):
    """A run that is running, or a series of it if the rule names one, has sent nothing for so long."""

    kind: Literal["no_news"] = "no_news"
    seconds: Seconds


class Stalled(Part):
    """No value has been better than the best one by more than `min_change` for so many steps or seconds of points."""

    kind: Literal["stalled"] = "stalled"
    goal: Literal["min", "max"]
    steps: Annotated[int, Field(ge=1, le=2**53)] | None = None
    seconds: Seconds | None = None
    min_change: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _has_one_bound(self) -> Stalled:
        if (self.steps is None) == (self.seconds is None):
            raise ValueError("write either steps or seconds: how long no value may be better")
        return self


class Spike(Part):
    """
    A value is far from the last `window` finite ones, at least `min_points`: its robust z-score is beyond `score`.

    The score is |value - median| / (1.4826 MAD), with the median absolute deviation (Iglewicz and Hoaglin, How to
    Detect and Handle Outliers, 1993). Where more than half of the values are equal, MAD is 0 and 1.2533 times the mean
    absolute deviation takes its place; where all are equal, any other value is a spike.
    """

    kind: Literal["spike"] = "spike"
    score: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 6.0
    window: Annotated[int, Field(ge=5, le=1_000)] = 50
    min_points: Annotated[int, Field(ge=5, le=1_000)] = 10
    direction: Literal["up", "down", "both"] = "both"

    @model_validator(mode="after")
    def _fits(self) -> Spike:
        if self.min_points > self.window:
            raise ValueError(f"min_points {self.min_points} exceeds window {self.window}: write at most the window")
        return self


class RunEnded(Part):
    """A run failed, was killed, or is lost: running, with heartbeats, and silent for `lost_after_s`."""

    kind: Literal["run_ended"] = "run_ended"
    states: Annotated[list[Literal["failed", "killed", "lost", "finished"]], Field(min_length=1)] = [
        "failed",
        "killed",
        "lost",
    ]
    lost_after_s: Seconds = 90.0


class GpuIdle(Part):
    """A system metric, by default the utilisation of a GPU in percent, is below a bound for so long."""

    kind: Literal["gpu_idle"] = "gpu_idle"
    below: Number = 5.0
    seconds: Seconds = 600.0


class RecordMissing(Part):
    """
    Records of a producer are missing for longer than `seconds`, or it reports values that it dropped at a limit.
    """

    kind: Literal["record_missing"] = "record_missing"
    seconds: Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)] = 60.0


Condition = Annotated[
    Threshold | NotFinite | NoNews | Stalled | Spike | RunEnded | GpuIdle | RecordMissing, Field(discriminator="kind")
]
KINDS = ("threshold", "nan", "no_news", "stalled", "spike", "run_ended", "gpu_idle", "record_missing")
