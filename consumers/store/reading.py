"""
What people and deliveries ask of the store.

Each answer is read in one snapshot. Everything raises StoreUnavailable while PostgreSQL is away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any

from consumers.store import documents
from consumers.store.charts import Sample, shrink, supersede
from consumers.store.pool import Pool, PooledConnection, address, open_pool, translated
from consumers.store.queries import sql
from schemas.api import Position, RunSummary, SeriesData, SeriesPage
from schemas.columns import float_to_json
from schemas.facts import Point
from schemas.names import series_name
from schemas.runlog import RunLog
from schemas.values import Typed

LAST_VALUES = 12  # series whose last value a list of runs shows
SUMMARY_POINTS = 200_000  # a series with more is charted from the summaries of its chunks

_SERIES_KEY = ("step_name", "name", "labels")


class Reading:
    """Questions to the store. Safe for several tasks at once."""

    def __init__(self, pool: Pool, where: str) -> None:
        self._pool, self._where = pool, where

    @classmethod
    async def open(cls, dsn: str, *, size: int = 4) -> Reading:
        """Connect. Raises StoreUnavailable and StoreRefused."""
        return cls(await open_pool(dsn, size=size), address(dsn))

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def runs(self, *, limit: int = 200, group: str | None = None, state: str | None = None) -> list[RunSummary]:
        """Return the newest runs, newest first."""
        async with self._snapshot() as connection:
            rows = await connection.fetch(sql("list_runs"), limit, group, state)
            last = await connection.fetch(sql("last_values"), [row["run_id"] for row in rows], LAST_VALUES)
        values: dict[str, dict[str, float | str]] = {}
        for row in last:
            name = series_name(row["name"], row["labels"], row["step_name"])
            values.setdefault(row["run_id"], {})[name] = float_to_json(row["last_value"])
        return [_summary(row, values.get(row["run_id"], {})) for row in rows]

    async def run_ids(self, *, group: str | None = None) -> list[str]:
        """Return the ids of all runs, or of one group, oldest first."""
        async with self._snapshot() as connection:
            return [row["run_id"] for row in await connection.fetch(sql("list_run_ids"), group)]

    async def run_log(self, run_id: str, *, max_points: int = 10_000) -> RunLog | None:
        """Return the run log, with at most the last `max_points` of each series, or None for an unknown run."""
        async with self._snapshot() as connection:
            run = await connection.fetchrow(sql("get_run"), run_id)
            if run is None:
                return None
            parts = {
                name: await connection.fetch(sql(f"get_{query}"), run_id)
                for name, query in [
                    ("steps", "steps"), ("attempts", "attempts"), ("params", "params"), ("tags", "tags"),
                    ("labels", "run_labels"), ("artifacts", "artifacts"), ("code", "code_identities"),
                    ("producers", "producers"), ("observations", "observations"),
                ]
            }  # fmt: skip
            series = [
                await _last_points(connection, rows, max_points) for rows in await _grouped_series(connection, run_id)
            ]
        return documents.run_log(documents.RunRows(run=run, **parts), series)

    async def series(self, run_id: str, *, names: list[str] | None = None, buckets: int = 1_000) -> SeriesPage | None:
        """Return the series of a run (all, or those with these written names), or None for an unknown run."""
        async with self._snapshot() as connection:
            run = await connection.fetchrow(sql("get_run"), run_id)
            if run is None:
                return None
            found = []
            for rows in await _grouped_series(connection, run_id):
                written = _written(rows[0])
                if names is None or written in names:
                    found.append(await _series_data(connection, written, rows, buckets))
        as_of = Position(partition=run["partition"], offset=run["next_offset"])
        return SeriesPage(run_id=run_id, as_of=as_of, series=found)

    async def points(self, run_id: str) -> AsyncIterator[Point]:
        """Return every point of a run, superseded attempts included, chunk by chunk."""
        async with self._snapshot() as connection:
            for row in await connection.fetch(sql("get_series"), run_id):
                written = _written(row)
                async for chunk in connection.cursor(sql("get_points"), row["series_id"]):
                    for step, time, value in _samples(chunk):
                        yield Point(written, step, time // 1_000, value)

    async def params(self, run_id: str) -> dict[str, Typed]:
        """Return the parameters of a run; of several attempts the last counts."""
        async with self._snapshot() as connection:
            rows = await connection.fetch(sql("get_params"), run_id)
        return {row["name"]: documents.TYPED.validate_python(row["value"]) for row in rows}

    async def offsets(self, consumer: str, topic: str) -> dict[int, int]:
        """Return the next offset of each partition that this consumer reads."""
        async with self._snapshot() as connection:
            rows = await connection.fetch(sql("load_offsets"), consumer, topic)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def dead_letters(self) -> int:
        """Return how many records are parked."""
        async with self._snapshot() as connection:
            return int(await connection.fetchval(sql("count_dead_letters")))

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[PooledConnection]:
        async with (
            translated(self._where),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection


async def _grouped_series(connection: PooledConnection, run_id: str) -> list[list[Any]]:
    """Return the rows of each written series together, first attempt first."""
    rows = await connection.fetch(sql("get_series"), run_id)
    return [list(group) for _, group in groupby(rows, key=lambda row: tuple(str(row[name]) for name in _SERIES_KEY))]


async def _last_points(connection: PooledConnection, rows: Sequence[Any], limit: int) -> documents.SeriesPoints:
    attempts = []
    for row in rows:
        points: list[Sample] = []
        async for chunk in connection.cursor(sql("get_last_points"), row["series_id"]):
            points[:0] = _samples(chunk)
            if len(points) >= limit:
                break
        attempts.append(points[-limit:])
    total = sum(row["points"] for row in rows)
    points = supersede(attempts)
    complete = sum(map(len, attempts)) == total
    return documents.SeriesPoints(
        step_name=rows[0]["step_name"],
        name=series_name(rows[0]["name"], rows[0]["labels"]),
        integer=all(row["integer"] for row in rows),
        total=len(points) if complete else total,
        points=points[-limit:],
    )


async def _series_data(connection: PooledConnection, written: str, rows: Sequence[Any], buckets: int) -> SeriesData:
    attempts = []
    for row in rows:
        if row["points"] > SUMMARY_POINTS:
            summaries = await connection.fetch(sql("get_summaries"), row["series_id"])
            attempts.append([sample for summary in summaries for sample in _corners(summary)])
        else:
            chunks = await connection.fetch(sql("get_points"), row["series_id"])
            attempts.append([sample for chunk in chunks for sample in _samples(chunk)])
    newest = rows[-1]
    low = min((row["min_value"] for row in rows if row["min_value"] is not None), default=None)
    high = max((row["max_value"] for row in rows if row["max_value"] is not None), default=None)
    return SeriesData(
        series=written,
        name=newest["name"],
        step_name=newest["step_name"],
        labels=newest["labels"],
        count=sum(row["points"] for row in rows),
        non_finite=sum(row["non_finite"] for row in rows),
        last_step=newest["last_step"],
        last=float_to_json(newest["last_value"]),
        min=None if low is None else float_to_json(low),
        max=None if high is None else float_to_json(high),
        points=[(s.step, s.time, float_to_json(s.value)) for s in shrink(supersede(attempts), buckets)],
    )


def _samples(chunk: Any) -> Iterable[Sample]:
    return map(Sample._make, zip(chunk["steps"], chunk["times"], chunk["point_values"], strict=True))


def _corners(summary: Any) -> Iterable[Sample]:
    """A chunk's exact first, lowest, highest and last value; the two in the middle stand between its ends."""
    yield Sample(summary["min_step"], summary["min_time"], summary["first_value"])
    step = (summary["min_step"] + summary["max_step"]) // 2
    time = (summary["min_time"] + summary["max_time"]) // 2
    for value in (summary["min_value"], summary["max_value"]):
        if value is not None:
            yield Sample(step, time, value)
    yield Sample(summary["max_step"], summary["max_time"], summary["last_value"])


def _written(row: Any) -> str:
    return series_name(row["name"], row["labels"], row["step_name"])


def _summary(row: Any, last: dict[str, float | str]) -> RunSummary:
    return RunSummary(
        run_id=row["run_id"],
        name=row["name"],
        tag=row["tag"],
        group=row["group_name"],
        state=row["state"],
        message=row["message"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        updated=row["updated"],
        attempt=row["attempt"],
        points=row["points"],
        params={name: documents.plain(value) for name, value in (row["params"] or {}).items()},
        tags=row["tags"] or {},
        last=last,
    )
