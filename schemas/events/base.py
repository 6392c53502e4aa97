"""
Field types and base classes of all events.

Times are microseconds since 1970-01-01 UTC, taken by the producer. `step_name` is the named step of the run that was
open ("main" when the training code opened none), `attempt` counts from 1; neither is related to the numeric `step` of
a metric.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schemas.bounds import MAX_NAME, check_depth, check_name

VERSION = "1"
MAIN_STEP = "main"


def _no_nul(text: str) -> str:
    if "\x00" in text:  # PostgreSQL cannot hold it in text or jsonb
        raise ValueError("a text must not contain the character U+0000")
    return text


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, strict=True), AfterValidator(check_name)]
IndexedText = Annotated[str, Field(max_length=MAX_NAME, strict=True), AfterValidator(check_name)]  # may be empty
Text = Annotated[str, Field(strict=True), AfterValidator(_no_nul)]
Time = Annotated[int, Field(ge=0, le=2**62, strict=True, description="µs since 1970-01-01 UTC")]
Count = Annotated[int, Field(ge=0, le=2**62, strict=True)]
Attempt = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Labels = dict[Name, Text]
JsonObject = Annotated[dict[str, Any], AfterValidator(check_depth)]


class Event(BaseModel):
    """One fact about a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: Time


class Scoped(Event):
    """A fact about one attempt of one named step."""

    step_name: Name = MAIN_STEP
    attempt: Attempt = 1
