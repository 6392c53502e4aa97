"""
Load stored rows of earlier batches, from which the fold continues.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from consumers.store.codec.chunks import columns_of
from consumers.store.pool import Database
from consumers.store.rows import AttemptRow, ProducerRow, RunRow, SeriesRow, StepRow
from consumers.store.statements import sql


async def identify_tables(database: Database) -> int:
    """Return a number that changes when `gateway rebuild` replaces the tables."""
    async with database.acquire() as connection:
        return int(await connection.fetchval(sql("identify_tables")))


async def load_runs(
    database: Database, run_ids: Collection[str]
) -> tuple[list[RunRow], list[ProducerRow], list[StepRow], list[AttemptRow]]:
    """Return the stored runs, producers, steps and attempts of these run ids."""
    wanted = list(run_ids)
    async with database.acquire() as connection:
        runs = await connection.fetch(sql("load_runs"), wanted)
        producers = await connection.fetch(sql("load_producers"), wanted)
        steps = await connection.fetch(sql("load_steps"), wanted)
        attempts = await connection.fetch(sql("load_attempts"), wanted)
    return (
        [RunRow(**row) for row in runs],
        [ProducerRow(**row) for row in producers],
        [StepRow(**row) for row in steps],
        [AttemptRow(**row) for row in attempts],
    )


async def load_series(database: Database, series_ids: Collection[UUID]) -> list[SeriesRow]:
    """Return the stored series of these ids, with their open points."""
    wanted = list(series_ids)
    # One snapshot: another worker, which has this partition now or had it before, may write between the two reads.
    async with database.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(sql("load_series"), wanted)
        chunks = await connection.fetch(sql("load_open_chunks"), wanted)
    # asyncpg has its own UUID class, which orjson does not support.
    found = {
        row["series_id"]: SeriesRow(
            **{
                **row,
                "series_id": UUID(int=row["series_id"].int),
                "loose": row["open_index"],
                "held": row["open_index"],
                "is_stored": True,
            }
        )
        for row in rows
    }
    for chunk in chunks:
        found[chunk["series_id"]].take_up(chunk["first_index"], *columns_of(chunk))
    return list(found.values())
