"""
What a run wrote besides points: console lines, and values that are no numbers.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from schemas.api.tables import AS_OF

_NEXT = "pass it as `after`, also later for what came meanwhile; null: nothing was found"


class ConsoleLine(BaseModel):
    """A line of a console."""

    at: str = Field(description="offset:position, its place in the log")
    stream: str
    time: int = Field(description="µs")
    line: str
    cut: bool = Field(description="only its beginning is here")


class ConsolePage(BaseModel):
    """Lines by time, and then by their place in the log."""

    lines: list[ConsoleLine]
    previous_token: str | None = Field(description="pass it as `before`; null: nothing was found")
    next_token: str | None = Field(description=_NEXT)
    has_previous: bool = Field(description="whether there may be others before")
    has_next: bool
    exact: bool = Field(default=True, description="no line between the first and the last that fits is left out")
    as_of: str = Field(description=AS_OF)


class ObservationFound(BaseModel):
    """A value that is no number."""

    at: str = Field(description="offset:position, its place in the log")
    series: str = Field(description="written name, see schemas/names.py")
    step: int
    time: int = Field(description="µs")
    type: str
    value: Any
    cut: bool = Field(description="only the beginning of the value, as text, is here")


class ObservationsPage(BaseModel):
    """Values in the order of the log."""

    observations: list[ObservationFound]
    previous_token: str | None = Field(description="pass it as `before`; null: nothing was found")
    next_token: str | None = Field(description=_NEXT)
    has_previous: bool = Field(description="whether there may be others before")
    has_next: bool
    exact: bool = Field(default=True, description="no value between the first and the last that fits is left out")
    as_of: str = Field(description=AS_OF)
