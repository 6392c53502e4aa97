"""
Every point of runs, as it was recorded.

Runs come in the order in which they were asked for, the series of a run as in its list of series, the attempts of a
series first attempt first, and their points in the order of the log. Of steps that a later attempt repeated only its
points are there, unless superseded ones are asked for, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from itertools import compress
from typing import Any, NamedTuple

from consumers.store.codec.chunks import unpack
from consumers.store.export.blocks import Block, Column, Same
from consumers.store.pool import PooledConnection
from consumers.store.read.charts.chart import restarts
from consumers.store.read.series_pages import SeriesChoice, find_series, token_after
from consumers.store.statements import sql
from schemas.names import series_name

SERIES_AT_ONCE = 500
CHUNKS_AHEAD = 32  # of up to 1,000 points each
COLUMNS = (
    Column("run_id", "text"),
    Column("series", "text"),
    Column("attempt", "int"),
    Column("step", "int"),
    Column("time", "int"),  # µs since 1970-01-01 UTC
    Column("value", "float"),
)
SUPERSEDED = Column("superseded", "bool")


class RunsKnown(NamedTuple):
    """What of the runs that are asked for cannot be exported."""

    unknown: list[str]
    dropped: list[str]  # retention dropped their points


async def known_runs(connection: PooledConnection, run_ids: Sequence[str]) -> RunsKnown:
    """Return which of these runs do not exist, and which have lost their points."""
    rows = await connection.fetch(sql("export_known_runs"), list(run_ids))
    found = {row["run_id"]: row["is_dropped"] for row in rows}
    return RunsKnown([one for one in run_ids if one not in found], [one for one in run_ids if found.get(one)])


async def point_blocks(
    connection: PooledConnection, run_ids: Sequence[str], names: Sequence[str] | None, *, superseded: bool
) -> AsyncGenerator[Block]:
    """
    Yield the points of these runs in blocks of up to 1,000 rows, each of one series.

    `names` are written names (schemas/names.py); None: every series. With `superseded` a column more says of each
    point whether a later attempt replaced it.
    """
    for run_id in run_ids:
        token: str | None = None
        while True:
            page = await find_series(connection, run_id, SeriesChoice(names, page_token=token), SERIES_AT_ONCE)
            for rows in page.series:
                written = series_name(rows[0]["name"], rows[0]["labels"], rows[0]["step_name"])
                for row, restart in zip(rows, await restarts(connection, rows), strict=True):
                    place = (run_id, written, row["attempt"])
                    cursor = connection.cursor(
                        sql("export_chunks"), row["series_id"], row["month"], prefetch=CHUNKS_AHEAD
                    )
                    async for chunk in cursor:
                        block = _block(place, unpack((chunk,)), restart, superseded=superseded)
                        if block.rows:
                            yield block
            if page.is_last or not page.series:
                break
            token = token_after(page.series[-1])


def _block(place: tuple[str, str, int], points: Sequence[Any], restart: int | None, *, superseded: bool) -> Block:
    """Return the points of a chunk; those from the step `restart` on are superseded."""
    steps = points[0]
    is_whole = restart is None or max(steps) < restart
    if not (is_whole or superseded):
        kept = [step < restart for step in steps]
        points = [list(compress(column, kept)) for column in points]
    count = len(points[0])
    cells = [*(Same(value, count) for value in place), *points]
    if superseded:
        cells.append(Same(False, count) if is_whole else [step >= restart for step in steps])
    return Block(count, cells)
