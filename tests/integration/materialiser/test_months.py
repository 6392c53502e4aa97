"""Partitions of points: created when first needed, by any worker, and for points that an old release stored."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from pogo_core.util import migrate as pogo

from consumers.store.migrations import FOLDER, migrate, released
from consumers.store.pool import Database, open_database
from consumers.store.write.partitions import open_months
from schemas.wire import encode
from tests.support.log_author import Author, write, write_records
from tests.support.materialiser_process import environment, materialiser, until, until_folded
from tests.support.rebuild_process import execute, folded_rows, rebuild
from tests.support.services import create_database, drop_database

YEAR_2024 = 1_704_067_200_000_000  # µs


@asynccontextmanager
async def opened(database: str) -> AsyncIterator[Database]:
    db = await open_database(database)
    try:
        yield db
    finally:
        await db.close()


async def partitions(database: str) -> list[str]:
    rows = await execute(
        database, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'chunks'::regclass ORDER BY 1"
    )
    return [row[0] for row in rows]


async def test_two_workers_that_need_a_month_at_the_same_time_make_it_once_and_block_no_reader(
    database: str,
) -> None:
    async with opened(database) as db:
        await migrate(db)
        async with db.acquire() as first, db.acquire() as second, db.acquire() as reader:
            waiting: asyncio.Task[frozenset[int]]
            async with first.transaction():
                assert await open_months(first, {202601: 10, 202602: 5}) == frozenset()

                async def other() -> frozenset[int]:
                    async with second.transaction():
                        return await open_months(second, {202602: 1, 202603: 1})

                waiting = asyncio.create_task(other())

                async def waits() -> bool:
                    return bool(await reader.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

                await until(waits, "the second worker waits for the first")
                assert await reader.fetchval("SELECT count(*) FROM metric_points") == 0
            assert await waiting == frozenset()

    assert await partitions(database) == ["chunks_202601", "chunks_202602", "chunks_202603"]


async def test_arrays_of_points_are_never_sampled_by_analyze(database: str) -> None:
    async with opened(database) as db, db.acquire() as connection:
        await migrate(db)
        async with connection.transaction():
            await open_months(connection, {202611: 1})
        sampled = await connection.fetch(
            "SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attstattarget IS DISTINCT FROM 0 "
            "AND attname IN ('steps', 'times', 'point_values', 'time_deltas') AND (attrelid = 'chunks'::regclass "
            "OR attrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'chunks'::regclass))"
        )
        tables = await connection.fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'chunks'::regclass")

    assert (tables, [tuple(row) for row in sampled]) == (1, [])


async def test_workers_that_share_a_log_make_the_same_months_all_the_time_and_lose_nothing(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = environment(kafka, topic, database, batch_records="3")
    envelopes = []
    for month in range(24):
        for number in range(6):  # in both partitions of the log, so from both workers
            author = Author(f"r{month}-{number}", time=YEAR_2024 + month * 31 * 86_400_000_000)
            envelopes += [author.start(), author.metrics("loss", [1.0, 2.0])]
    with materialiser(tmp_path, variables) as one, materialiser(tmp_path, variables | {"GATEWAY_WORKER": "1"}) as two:
        await write(kafka, topic, envelopes)
        await until_folded(database, topic, len(envelopes))
        assert (one.process.poll(), two.process.poll()) == (None, None)

    stored = await execute(database, "SELECT count(*), count(DISTINCT run_id) FROM metric_points")
    assert [tuple(row) for row in stored] == [(24 * 6 * 2, 24 * 6)]
    assert len(await partitions(database)) == len({row[0] for row in await execute(database, "SELECT month FROM runs")})
    assert await execute(database, "SELECT FROM dead_letters") == []


async def test_a_clock_that_is_wrong_by_decades_makes_one_partition(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    envelopes = []
    for number, time in enumerate([0, 86_400_000_000, 253_402_300_000_000_000, 5_000_000_000_000_000]):
        author = Author(f"r{number}", time=time)
        envelopes += [author.start(), author.metrics("loss", [1.0])]
    await write(kafka, topic, envelopes)
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, len(envelopes))

    assert await partitions(database) == ["chunks_0"]


async def migrate_up_to(database: str, last: str, folder: Path) -> None:
    """Create the tables of an older release."""
    folder.mkdir()
    for name in released():
        if name <= last:
            shutil.copy(FOLDER / f"{name}.sql", folder)
    connection = await asyncpg.connect(database)
    try:
        await pogo.apply(connection, folder, schema_name="public")
    finally:
        await connection.close()


# The form of the release before: every step and every time.
WHOLE = {
    "steps": "coalesce(steps, ARRAY(SELECT min_step + i * ((max_step - min_step) / greatest(points - 1, 1)) "
    "FROM generate_series(0, points - 1) AS i ORDER BY i)) AS steps",
    "times": "coalesce(times, ARRAY(SELECT min_time + d FROM unnest(time_deltas) WITH ORDINALITY AS t (d, place) "
    "ORDER BY place)) AS times",
}


async def copy_rows(source: str, target: str) -> None:
    """Copy all rows, in the columns that the target has."""
    reading, writing = await asyncpg.connect(source), await asyncpg.connect(target)
    try:
        tables = await writing.fetch(
            "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns "
            "JOIN information_schema.tables USING (table_schema, table_name) WHERE table_schema = 'public' "
            "AND table_type = 'BASE TABLE' AND table_name NOT LIKE '\\_pogo%' GROUP BY 1"
        )
        for table, columns in tables:
            wanted = ", ".join(WHOLE.get(column, column) for column in columns)
            rows = await reading.fetch(f'SELECT {wanted} FROM "{table}"')
            await writing.copy_records_to_table(table, records=[tuple(row) for row in rows], columns=columns)
    finally:
        await reading.close()
        await writing.close()


@pytest.fixture
async def old_database(postgres_server: str) -> AsyncIterator[str]:
    dsn = await create_database(postgres_server, empty=True)
    yield dsn
    await drop_database(postgres_server, dsn)


async def test_rows_of_the_release_before_are_migrated_byte_for_byte_and_can_be_extended(
    kafka: str, topic: str, database: str, old_database: str, tmp_path: Path
) -> None:
    authors = [Author(f"r{n}", time=time) for n, time in enumerate([YEAR_2024, YEAR_2024 + 40 * 86_400_000_000, 0])]
    envelopes = [author.start() for author in authors]
    for first in range(0, 2_500, 100):
        envelopes += [
            author.metrics("loss", [1 / (first + i + 1) for i in range(100)], first_step=first) for author in authors
        ]
        for author in authors:
            author.time += 3_600_000_000 if first == 1_500 else 0  # a pause of an hour: the times are too far apart
    envelopes += [author.metrics("odd", [1.0, 2.0], first_step=first) for author in authors for first in (5, 3, 9, -4)]
    envelopes += [author.metrics("full", [0.5], first_step=i * i) for author in authors[:1] for i in range(1_001)]
    later = [author.metrics("loss", [7.0] * 600, first_step=2_500) for author in authors]
    await write_records(kafka, topic, map(encode, envelopes))
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, len(envelopes))
    await migrate_up_to(old_database, "20261121_06_plain_points", tmp_path / "migrations")
    await copy_rows(database, old_database)
    await execute(old_database, "GRANT SELECT ON chunks, metric_points TO PUBLIC")

    async with opened(old_database) as db:
        await migrate(db)
    carried = await folded_rows(old_database)
    await write(kafka, topic, later)
    variables = environment(kafka, topic, old_database)
    with materialiser(tmp_path, variables):
        await until_folded(old_database, topic, len(envelopes) + len(later))

    for missing in (
        "runs SET first_offset = NULL",
        "consumer_offsets SET last_offset = NULL, last_time = NULL",
        "chunks SET pieces = NULL",
    ):
        await execute(database, f"UPDATE {missing}")  # the release before did not store it
    assert [row.split(",")[1] for row in carried.pop("run_partitions_uncopied")] == ["0"]
    assert carried == {
        name: rows for name, rows in (await folded_rows(database)).items() if name != "run_partitions_uncopied"
    }
    assert await partitions(old_database) == ["chunks_0", "chunks_202401", "chunks_202402"]
    checked = await asyncio.to_thread(rebuild, variables, "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    counted = await execute(old_database, "SELECT run_id, count(*) FROM metric_points GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in counted] == [("r0", 4_109), ("r1", 3_108), ("r2", 3_108)]
    granted = "SELECT table_name::text FROM information_schema.table_privileges WHERE grantee = 'PUBLIC' ORDER BY 1"
    assert {"chunks", "metric_points"} <= {row[0] for row in await execute(old_database, granted)}
