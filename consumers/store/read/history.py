"""
The points of one written series, page by page, in the order in which they were recorded.

Earlier attempts come first; what a later attempt repeated is left out, as in charts. A page token
is a position and not a count of points, so the thousandth page costs as much as the first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from consumers.store.codec.chunks import columns_of
from consumers.store.pool import PooledConnection
from consumers.store.read.charts.chart import restarts
from consumers.store.read.charts.summaries import Sample
from consumers.store.rows import CHUNK_POINTS
from consumers.store.search.page_token import TokenError
from consumers.store.statements import sql

CHUNKS_AHEAD = 64


class HistoryPosition(NamedTuple):
    """A point of a series: its attempt, and its number among the points of that attempt."""

    attempt: int = 0
    number: int = 0

    @property
    def token(self) -> str:
        """The page token of the page that begins here."""
        return f"{self.attempt}.{self.number}"

    @classmethod
    def from_token(cls, token: str) -> HistoryPosition:
        """Return the position of a page token. Raises TokenError."""
        if not (found := re.fullmatch(r"(\d{1,10})\.(\d{1,18})", token, re.ASCII)):
            raise TokenError("it is not a token of this API, or only a part of one")
        return cls(int(found[1]), int(found[2]))


async def read_history(
    connection: PooledConnection, rows: Sequence[Any], after: HistoryPosition, limit: int
) -> tuple[list[Sample], HistoryPosition | None]:
    """
    Return up to `limit` points from a position on, and the position of the next page; None if nothing follows.

    `rows` are the attempts of the series, first attempt first.
    """
    points: list[Sample] = []
    for row, restart in zip(rows, await restarts(connection, rows), strict=True):
        if row["attempt"] < after.attempt:
            continue
        begin = after.number if row["attempt"] == after.attempt else 0
        place = (row["series_id"], row["month"], begin, CHUNK_POINTS)
        async for chunk in connection.cursor(sql("get_points_from"), *place, prefetch=CHUNKS_AHEAD):
            first, columns = chunk["first_index"], columns_of(chunk)
            for at in range(max(0, begin - first), chunk["points"]):
                if len(points) == limit:
                    return points, HistoryPosition(row["attempt"], first + at)
                if restart is None or columns.steps[at] < restart:
                    points.append(Sample(columns.steps[at], columns.times[at], columns.values[at]))
    return points, None
