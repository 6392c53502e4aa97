"""
The first step at which the series of two runs differ, read in pieces: memory does not grow with their points.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from operator import itemgetter
from typing import Any

from consumers.store.comparison.tolerance import Comparison, Tolerance, compare_steps, last_of_steps
from consumers.store.pool import PooledConnection
from consumers.store.read.ordered_points import Point, chunks_of, sweep
from consumers.store.statements import sql
from schemas.api.comparison import SeriesDivergence
from schemas.columns import float_to_json
from schemas.names import series_name

_STEP = itemgetter(0)


async def series_names(connection: PooledConnection, run_ids: Sequence[str], *, system: bool) -> list[set[str]]:
    """Return the written names of the series of each run; those of the system only if `system`."""
    found: dict[str, set[str]] = {run_id: set() for run_id in run_ids}
    for row in await connection.fetch(sql("series_of_two"), list(run_ids), system):
        found[row["run_id"]].add(series_name(row["name"], row["labels"], row["step_name"]))
    return [found[run_id] for run_id in run_ids]


async def divergence(
    connection: PooledConnection, run_a: str, run_b: str, series: str, tolerance: Tolerance
) -> SeriesDivergence:
    """Return where the series of this name of two runs part."""
    rows = await connection.fetch(sql("series_named"), [run_a, run_b], [series])
    known = Comparison()
    async with (
        aclosing(_steps(connection, [row for row in rows if row["run_id"] == run_a])) as a,
        aclosing(_steps(connection, [row for row in rows if row["run_id"] == run_b])) as b,
    ):
        await compare_streams(a, b, tolerance, known)
    parted = known.parted
    return SeriesDivergence(
        series=series,
        step=None if parted is None else parted[0][0],
        a=None if parted is None else _value(parted[0]),
        b=None if parted is None else _value(parted[1]),
        time_a=None if parted is None else parted[0][1],
        time_b=None if parted is None else parted[1][1],
        compared=known.compared,
        only_a=known.only_a,
        only_b=known.only_b,
    )


async def compare_streams(
    a: AsyncGenerator[list[Point]], b: AsyncGenerator[list[Point]], tolerance: Tolerance, known: Comparison
) -> None:
    """Compare points of two series, one a step and in order, that come in pieces; `known` counts them."""
    held_a: list[Point] = await anext(a, [])
    held_b: list[Point] = await anext(b, [])
    while held_a and held_b and known.parted is None:
        last = min(held_a[-1][0], held_b[-1][0])
        cut_a, cut_b = bisect_right(held_a, last, key=_STEP), bisect_right(held_b, last, key=_STEP)
        await asyncio.to_thread(compare_steps, held_a[:cut_a], held_b[:cut_b], tolerance, known)
        held_a = held_a[cut_a:] or await anext(a, [])
        held_b = held_b[cut_b:] or await anext(b, [])
    while known.parted is None and (held_a or held_b):
        known.only_a, known.only_b = known.only_a + len(held_a), known.only_b + len(held_b)
        held_a, held_b = await anext(a, []), await anext(b, [])


async def _steps(connection: PooledConnection, rows: Sequence[Any]) -> AsyncGenerator[list[Point]]:
    """Yield the last points of the steps of a series, in order, some at a time."""
    chunks = await chunks_of(connection, rows, "exact step")
    held: list[Point] = []
    async with aclosing(sweep(connection, chunks, "exact step")) as blocks:
        async for block in blocks:
            points = await asyncio.to_thread(last_of_steps, [*held, *block])
            held = points[-1:]  # a later block may have points of this step
            if len(points) > 1:
                yield points[:-1]
    if held:
        yield held


def _value(point: Point) -> float | str:
    return "NaN" if point[3] else float_to_json(point[2])
