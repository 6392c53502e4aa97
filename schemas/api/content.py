"""
What a run wrote besides points: console lines, and values that are no numbers; and what became of its records.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from schemas.api.points import Position
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


class ValueSeries(BaseModel):
    """The values of one written name that are no numbers."""

    series: str = Field(description="written name, see schemas/names.py")
    types: list[str] = Field(description="of its values: string, bool, int, datetime, json, histogram; sorted")
    count: int
    last_step: int
    last_time: int = Field(description="µs")


class ValueSeriesPage(BaseModel):
    """Names of a run with values that are no numbers, sorted."""

    series: list[ValueSeries]
    exact: bool = Field(description="false: there are more names than are here")
    as_of: str = Field(description=AS_OF)


class RunDelivery(BaseModel):
    """How far one tracker has one run."""

    tracker: str
    status: Literal["delivering", "waiting", "parked", "none"] = Field(
        description="waiting: its last call failed and will be tried again; parked: the tracker refuses the run; "
        "none: it has received nothing of it"
    )
    next_offset: int | None = Field(default=None, description="the tracker has all records of the run below it")
    is_complete: bool | None = Field(
        default=None, description="it has all records that are folded; null: it receives the run's history"
    )
    in_doubt: bool = Field(default=False, description="the result of a call is not known; it will be tried again")
    skipped: int = Field(default=0, description="records of the run that can never be decoded")
    error: str = Field(default="", description="why it waits or is parked")
    updated: int | None = Field(default=None, description="µs")
    url: str = Field(default="", description="the tracker's own page of the run; empty: it has none, or none is known")


class DeliveriesOfRun(BaseModel):
    """What became of the records of a run."""

    run_id: str
    as_of: str = Field(description=AS_OF)
    folded: Position = Field(description="the place in the log behind the newest folded record of the run")
    missing: int = Field(description="records that were sent, or counted by their producer, and are not folded")
    dead_letters: int = Field(description="records of the run that cannot be folded and without a decision")
    deliveries: list[RunDelivery] = Field(description="trackers of this stack, and others that have the run; by name")
