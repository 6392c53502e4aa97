"""
Which series of which runs a question means, in pages. A page token names the last series of its page; it grants no
rights.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from consumers.store.pool import PooledConnection
from consumers.store.read.series_pages import read_place, token_after
from consumers.store.search.page_token import TokenError
from consumers.store.search.regexes import reading_regex
from consumers.store.statements import sql
from schemas.metric_definitions import DefinitionFinder


class Match(NamedTuple):
    """Which written names are wanted: all of these conditions."""

    names: Sequence[str] | None = None  # None: any
    words: Sequence[str] = ()  # in any case
    regex: str | None = None  # of PostgreSQL, anywhere in the name
    prefix: str | None = None


class RunCharted(NamedTuple):
    """What charts need of a run."""

    began: int  # µs
    points_dropped: int | None  # µs; None: they are kept


class FoundSeries(NamedTuple):
    """A written series of a run, with the rows of its attempts, first attempt first."""

    run_id: str
    rows: list[Any]
    place: Any

    @property
    def token(self) -> str:
        """The token of the page that begins after this series."""
        text = json.dumps([self.run_id, token_after([self.place])], ensure_ascii=False)
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class SeriesPageFound(NamedTuple):
    """A page of series, by run."""

    series: list[FoundSeries]
    total: int  # on all pages
    is_last: bool


class Meaning(NamedTuple):
    """What code says of a series; empty: nothing."""

    goal: str = ""
    unit: str = ""


async def find_runs(connection: PooledConnection, run_ids: Sequence[str]) -> dict[str, RunCharted]:
    """Return what charts need of these runs, by id; unknown ones are absent."""
    rows = await connection.fetch(sql("charted_runs"), list(run_ids))
    return {row["run_id"]: RunCharted(row["began"], row["points_dropped"]) for row in rows}


async def find_series_of(
    connection: PooledConnection, run_ids: Sequence[str], match: Match, *, limit: int, page_token: str | None
) -> SeriesPageFound:
    """Return up to `limit` series of these runs, after those of the token. Raises TokenError and BadRegex."""
    ids = list(dict.fromkeys(run_ids))
    after = (None,) * 6 if page_token is None else _read_token(page_token, ids)
    names = None if match.names is None else list(match.names)
    chosen = (ids, names, list(match.words), match.regex, match.prefix)
    with reading_regex():
        found = await connection.fetch(sql("series_of_runs"), *chosen, *after, limit + 1)
    page = found[:limit]
    rows = await connection.fetch(sql("series_with_ids"), [one for row in page for one in row["ids"]]) if page else []
    by_id = {row["series_id"]: row for row in rows}
    series = [FoundSeries(row["run_id"], [by_id[one] for one in row["ids"]], row) for row in page]
    return SeriesPageFound(series, found[0]["total"] if found else 0, len(page) == len(found))


async def names_matching(connection: PooledConnection, regex: str, names: Sequence[str]) -> set[str]:
    """Return which of these written names a regular expression of PostgreSQL matches. Raises BadRegex."""
    with reading_regex():
        return {row["name"] for row in await connection.fetch(sql("names_matching"), list(names), regex)}


class Meanings:
    """What code says of the metrics of some runs."""

    def __init__(self, rows: Sequence[Any]) -> None:
        """`rows` are those of `goals_and_units`."""
        self._said: dict[str, dict[str, Meaning]] = {}
        for row in rows:
            self._said.setdefault(row["run_id"], {})[row["name"]] = Meaning(row["goal"], row["unit"])
        self._finders = {run_id: DefinitionFinder(said) for run_id, said in self._said.items()}

    def of(self, run_id: str, written: str) -> Meaning:
        """Return what is said of a written series of a run."""
        name = self._finders[run_id].find(written) if run_id in self._finders else None
        return Meaning() if name is None else self._said[run_id][name]


async def find_meanings(connection: PooledConnection, run_ids: Sequence[str]) -> Meanings:
    """Return what code says of the metrics of these runs."""
    return Meanings(await connection.fetch(sql("goals_and_units"), list(run_ids)))


def _read_token(token: str, run_ids: Sequence[str]) -> tuple[Any, ...]:
    try:
        run_id, rest = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        return (run_ids.index(run_id) + 1, *read_place(rest))
    except (ValueError, binascii.Error, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, TokenError):
            raise
        raise TokenError("it is not a token of this question: its runs do not have the one that it names") from None
