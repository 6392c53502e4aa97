"""
Events with the data that training code logs: metric points, other values, console lines.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.columns import FloatColumn, IntColumn
from schemas.events.base import Labels, Name, Scoped, Text, Time
from schemas.values import Typed


class Series(BaseModel):
    """Points of one series: three columns of the same length."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Name
    labels: Labels = Field(default_factory=dict)
    integer: bool = False  # all values were ints: documents show 42, not 42.0
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
    """Numeric points about the machine: CPU, memory, GPU. Names start with `system/`."""

    kind: Literal["system_metrics"] = "system_metrics"
    series: Annotated[list[Series], Field(min_length=1)]


class Observation(BaseModel):
    """One value that is not a number, or is an integer that float64 cannot hold."""

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
