"""
The table of runs: columns that were asked for, which columns and values there are, and whether a filter can be read.

A column has a key: [kind, name], kind one of fact, param, metric, tag and label; of a metric also [kind, name, stat],
stat one of last, min, max, first, count, non_finite and step.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

AS_OF = "partition:offset[,partition:offset...]: everything below is in this answer"


class RunsTable(BaseModel):
    """One page of a table: of each column the values of all its runs, null where a run has none."""

    run_ids: list[str]
    columns: list[list[Any]] = Field(description='numbers, text, JSON; "NaN", "Infinity", "-Infinity" are numbers')
    cut: list[tuple[int, int]] = Field(description="[column, row] of long values, of which only the beginning is here")
    total: int | None = Field(description="runs that match, on all pages; null: it was not asked for")
    next_page_token: str | None = Field(description="pass it as page_token; null: this is the last page")
    as_of: str = Field(description=AS_OF)


class ColumnFound(BaseModel):
    """A column that runs have."""

    key: tuple[str, str]
    types: list[str] = Field(description="of its values: float, int, bool, string, datetime, json, histogram")
    runs: int = Field(description="that have it")


class ColumnsFound(BaseModel):
    """Columns by kind and name."""

    columns: list[ColumnFound]
    is_complete: bool = Field(description="false: there are more than `limit`; ask with a longer prefix")
    as_of: str = Field(description=AS_OF)


class ValueFound(BaseModel):
    """A value of a column."""

    value: Any
    runs: int


class ValuesFound(BaseModel):
    """Values of a column: the most frequent first."""

    values: list[ValueFound]
    is_complete: bool = Field(description="false: there are more than `limit`; ask with a longer prefix")
    as_of: str = Field(description=AS_OF)


class FilterFollow(BaseModel):
    """What may stand at a position of a filter."""

    start: int = Field(description="where the word begins that the position is in")
    words: list[str] = Field(description="that may stand there, beginning with what is typed of it")
    key: tuple[str, ...] | None = Field(description="that the comparison there is about: ask for its values")
    name: tuple[str, str] | None = Field(description="kind and beginning of a name that is being typed")


class FilterCheck(BaseModel):
    """Whether a filter can be read; otherwise where it is wrong, in characters from 0."""

    ok: bool
    position: int | None = None
    end: int | None = None
    message: str | None = None
    expected: list[str] = Field(default_factory=list, description="words that may stand at the position")
    keys: list[tuple[str, ...]] = Field(default_factory=list, description="that it compares, each once")
    follow: FilterFollow | None = Field(default=None, description="at the position that was asked about")
