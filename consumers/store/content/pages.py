"""
Statements for pages of what a run wrote, and the tokens between them.

Pure. A token is the place of a row; it grants no rights. Console lines are ordered by time and then by their place in
the log, values by their place in the log.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from consumers.store.search.names import series_candidates
from consumers.store.search.page_token import TokenError
from consumers.store.search.sql_builder import Query, StatementBuilder, filled
from consumers.store.statements import sql

MAX_TEXT = 10_000  # characters of a line or value
_TOKEN = re.compile(r"(-?\d{1,19})\.(\d{1,19})\.(\d{1,10})")
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


class Place(NamedTuple):
    """The place of a row: time (µs), offset in the log, position in its record."""

    time: int
    log_offset: int
    position: int

    @property
    def token(self) -> str:
        """The token of the page behind, or before, this place."""
        return f"{self.time}.{self.log_offset}.{self.position}"

    @classmethod
    def from_token(cls, token: str) -> Place:
        """Return the place of a token. Raises TokenError."""
        match = _TOKEN.fullmatch(token)
        place = cls(*map(int, match.groups())) if match else None
        if place is None or not (_LOWEST <= place.time <= _HIGHEST and place.log_offset <= _HIGHEST and
                                 place.position < 2**31):  # fmt: skip
            raise TokenError("it is not a token of this API")
        return place

    @classmethod
    def end(cls) -> Place:
        """Return the place behind all rows."""
        return cls(_HIGHEST, _HIGHEST, 2**31 - 1)

    @classmethod
    def before_time(cls, time: int) -> Place:
        """Return the place before all rows of a time."""
        return cls(time, -1, -1)


class Wanted(NamedTuple):
    """Which rows of a run are wanted."""

    run_id: str
    stream: str | None = None  # of console lines
    name: str | None = None  # written name of a series, of values
    search: str = ""  # text that a row contains, in any case
    regex: str = ""  # that a console line matches, as PostgreSQL reads it


def page_query(kind: Literal["console", "observations"], wanted: Wanted, begin: Place | None, *, backwards: bool,
               limit: int) -> Query:  # fmt: skip
    """Return the query for rows behind a place, or before it in descending order."""
    builder = StatementBuilder(0)
    conditions = ["true"]
    if begin is not None:
        parts = {"sign": "<" if backwards else ">"}
        if kind == "console":
            parts["time"] = builder.add(begin.time, "bigint")
        parts["log_offset"] = builder.add(begin.log_offset, "bigint")
        parts["position"] = builder.add(begin.position, "int")
        conditions.append(filled(sql("line_behind" if kind == "console" else "value_behind"), parts))
    if wanted.stream is not None:
        conditions.append(f"stream = {builder.add(wanted.stream, 'text')}")
    if wanted.name is not None:
        steps, names, labels = map(list, zip(*series_candidates(wanted.name), strict=True))
        parts = {"steps": builder.add(steps, "text[]"), "names": builder.add(names, "text[]")}
        conditions.append(filled(sql("of_series"), {**parts, "labels": builder.add(labels, "jsonb[]")}))
    text = "line" if kind == "console" else "(value ->> 'value')"
    if wanted.search:
        conditions.append(f"strpos(lower({text}), lower({builder.add(wanted.search, 'text')})) > 0")
    if wanted.regex:
        conditions.append(f"{text} ~ {builder.add(wanted.regex, 'text')}")
    return builder.query(
        f"{kind}_page",
        run_id=builder.add(wanted.run_id, "text"),
        condition=" AND ".join(conditions),
        direction="DESC" if backwards else "ASC",
        limit=limit,
    )
