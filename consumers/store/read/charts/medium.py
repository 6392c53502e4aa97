"""
Charts of whole series of about a hundred chunks, many of them in two statements.

Of each full chunk the corners of its pieces are read, in as many pieces as the buckets need, and the points that are
not in a full chunk yet. Series of one attempt only: what a later attempt repeats must be known before.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from consumers.store.pool import PooledConnection
from consumers.store.read.charts.chart import (
    RAW_POINTS,
    Chart,
    chart_of_summaries,
    fetch_pieces,
    in_thread,
    read_whole,
)
from consumers.store.read.charts.levels import full_chunks, pieces_for, read_pieces
from consumers.store.read.charts.parts import part_of
from consumers.store.read.charts.summaries import ALL
from consumers.store.rows import LEVEL_FACTOR
from consumers.store.statements import sql


def is_medium(row: Any, buckets: int) -> bool:
    """Return whether the chart of all points of this attempt is made from pieces of its chunks."""
    return bool(row["points"] > read_whole(buckets) and full_chunks(row["open_index"]) * LEVEL_FACTOR < buckets)


async def medium_charts(connection: PooledConnection, rows: Sequence[Any], buckets: int) -> list[Chart | None]:
    """
    Return the chart of all points of each of these attempts.

    None: it has more than RAW_POINTS, and chunks that an earlier release wrote without pieces.
    """
    levels = {row["series_id"]: pieces_for(full_chunks(row["open_index"]), buckets) for row in rows}
    asked = [(row, 0, full_chunks(row["open_index"]), levels[row["series_id"]], ALL) for row in rows]
    found = {row["series_id"]: list[Any]() for row in rows}
    for series_id, some in groupby(await fetch_pieces(connection, asked), key=itemgetter("series_id")):
        found[series_id] = list(some)
    wanted = [(row, row["open_index"], 2**62) for row in rows]
    for row in rows:
        if row["points"] <= RAW_POINTS:
            lacking = [one for one in found[row["series_id"]] if one["steps"] is None]
            wanted += [(row, one["first_index"], one["first_index"] + 1) for one in lacking]
    columns = zip(*((row["series_id"], row["month"], first, end, *ALL) for row, first, end in wanted), strict=True)
    chunks = {row["series_id"]: list[Any]() for row in rows}
    for one in await connection.fetch(sql("get_chunks_of_many"), *map(list, columns)):
        chunks[one["series_id"]].append(one)
    return await in_thread(_drawn, rows, levels, found, chunks, buckets)


def _drawn(
    rows: Sequence[Any], levels: dict[Any, int], found: dict[Any, list[Any]], chunks: dict[Any, list[Any]], buckets: int
) -> list[Chart | None]:
    drawn = list[Chart | None]()
    for row in rows:
        key = row["series_id"]
        having = [one for one in found[key] if one["steps"] is not None]
        if len(having) < len(found[key]) and row["points"] > RAW_POINTS:
            drawn.append(None)
            continue
        parts = [part_of(one, ALL) for one in chunks[key]]
        drawn.append(chart_of_summaries([read_pieces(having, levels[key])], [parts], buckets))
    return drawn
