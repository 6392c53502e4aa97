"""
The chart of one written series, from the rows of its attempts.

What takes more than a few milliseconds is computed in a thread: other requests are served meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from consumers.store.codec.chunks import unpack
from consumers.store.pool import PooledConnection
from consumers.store.read.downsampling import Sample, corners_of, group_points, shrink, shrink_columns, supersede
from consumers.store.rows import CHUNK_POINTS
from consumers.store.statements import sql
from schemas.api import SeriesData
from schemas.columns import float_to_json
from schemas.names import series_name

SUMMARY_POINTS = 200_000  # a longer series is charted from the summaries of its chunks
IN_LOOP_POINTS = 10_000  # to hand fewer to a thread takes longer than to compute them


async def chart(connection: PooledConnection, rows: Sequence[Any], buckets: int) -> SeriesData:
    """Return one written series with its chart; `rows` are its attempts, first attempt first."""
    points = sum(row["points"] for row in rows)
    if points > SUMMARY_POINTS:
        attempts = [await _corners(connection, row, buckets) for row in rows]
        samples = shrink(supersede(attempts), buckets)
    else:
        chunks = [await connection.fetch(sql("get_packed_points"), row["series_id"], row["month"]) for row in rows]
        if points > IN_LOOP_POINTS:
            samples = await asyncio.to_thread(_shrunk, chunks, buckets)
        else:
            samples = _shrunk(chunks, buckets)
    return summarize(rows, samples)


def summarize(rows: Sequence[Any], samples: Iterable[Sample]) -> SeriesData:
    """Return one written series with these points of its chart."""
    newest = rows[-1]
    low = min((row["min_value"] for row in rows if row["min_value"] is not None), default=None)
    high = max((row["max_value"] for row in rows if row["max_value"] is not None), default=None)
    return SeriesData.model_construct(  # values in the store were validated before they were written
        series=series_name(newest["name"], newest["labels"], newest["step_name"]),
        name=newest["name"],
        step_name=newest["step_name"],
        labels=newest["labels"],
        count=sum(row["points"] for row in rows),
        non_finite=sum(row["non_finite"] for row in rows),
        last_step=newest["last_step"],
        last=float_to_json(newest["last_value"]),
        min=None if low is None else float_to_json(low),
        max=None if high is None else float_to_json(high),
        points=[(step, time, value if isfinite(value) else float_to_json(value)) for step, time, value in samples],
    )


async def _corners(connection: PooledConnection, row: Any, buckets: int) -> list[Sample]:
    size = group_points(row["points"], buckets)
    groups = await connection.fetch(
        sql("get_chart_groups"), row["series_id"], size, row["points"], row["month"], CHUNK_POINTS
    )
    return corners_of(groups)


def _shrunk(attempts: Sequence[Sequence[Any]], buckets: int) -> list[Sample]:
    columns = [unpack(chunks) for chunks in attempts]
    if len(columns) == 1 and (found := shrink_columns(*columns[0], buckets)) is not None:
        return found
    return shrink(supersede([list(map(Sample, *one)) for one in columns]), buckets)
