"""`gateway rebuild` while others use the tables: producers, workers, readers, views, grants, other rebuilds."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from schemas.wire import encode
from tests.support.log_author import Author, producer, write
from tests.support.materialiser_process import environment, folded, materialiser, until, until_folded
from tests.support.rebuild_process import (
    SIDE,
    connected,
    execute,
    facts,
    folded_rows,
    has_side,
    rebuild,
    running,
    side_folded,
)


async def test_a_rebuild_under_load_loses_nothing_and_stores_nothing_twice(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    authors = [Author(f"r{number}", f"p{number}") for number in range(6)]
    points, stopping = dict.fromkeys((author.run_id for author in authors), 0), asyncio.Event()

    async def produce() -> int:
        written = 0
        async with producer(kafka) as sender:
            while not stopping.is_set():
                for author in authors:
                    first = points[author.run_id]
                    record = encode(author.metrics("loss", [float(first + i) for i in range(50)], first_step=first))
                    await sender.send_and_wait(topic, key=record.key, value=record.value, headers=list(record.headers))
                    points[author.run_id] += 50
                    written += 1
        return written

    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables) as worker:
        producing = asyncio.create_task(produce())
        await until_folded(database, topic, 300)
        before = await folded(database, topic)
        done = await asyncio.to_thread(rebuild, variables, "--json")
        after = await folded(database, topic)
        again = await asyncio.to_thread(rebuild, variables, "--json")
        checked = await asyncio.to_thread(rebuild, variables, "--check", "--json")  # compared under load
        stopping.set()
        written = await producing
        await until_folded(database, topic, written)
        assert worker.process.poll() is None

    assert (done.returncode, again.returncode, checked.returncode) == (0, 0, 0), done.stderr + checked.stdout
    assert before < after < written, "records came and were folded all the time"
    assert before <= facts(done)["records"] <= after
    stored = await execute(database, "SELECT run_id, count(*), count(DISTINCT value) FROM metric_points GROUP BY 1")
    assert {row["run_id"]: (row[1], row[2]) for row in stored} == {run: (n, n) for run, n in points.items()}
    ledgers = await execute(database, "SELECT refused, missing FROM producers")
    assert [tuple(row) for row in ledgers] == [(0, "[]")] * 6
    last = await asyncio.to_thread(rebuild, variables, "--check")
    assert last.returncode == 0, last.stdout


async def test_a_reader_in_a_transaction_keeps_its_tables_until_it_is_done(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    author = Author("r1")
    variables = environment(kafka, topic, database)
    await write(kafka, topic, [author.start(name="first"), author.metrics("loss", [1.0])])
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, 2)
        async with connected(database) as reader, AsyncExitStack() as waiting:
            async with reader.transaction(isolation="repeatable_read", readonly=True):
                seen = await reader.fetch("SELECT * FROM runs")
                one = waiting.enter_context(running(variables, "--json"))

                async def folded_beside() -> bool:
                    return await side_folded(database) == 2

                await until(folded_beside, "the rebuild waits for the reader")
                await write(kafka, topic, [author.metrics("loss", [0.5])])
                await until_folded(database, topic, 3)  # the worker does not wait for the reader either
                assert one.process.poll() is None
                assert await reader.fetch("SELECT * FROM runs") == seen
                await reader.fetch("SELECT * FROM series")
            status, out, message = await asyncio.to_thread(one.end)
            now = await reader.fetch("SELECT * FROM runs")

    assert status == 0, message
    assert '"switched": true' in out
    assert (seen[0]["points"], now[0]["points"]) == (1, 2)


async def test_views_and_grants_of_other_people_are_there_after_the_switch(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    author = Author("r1")
    variables = environment(kafka, topic, database)
    await write(kafka, topic, [author.start(name="first"), author.metrics("loss", [1.0])])
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, 2)
        await execute(database, "GRANT SELECT ON runs TO PUBLIC")
        await execute(database, "CREATE SCHEMA reports")
        await execute(database, "CREATE VIEW reports.names AS SELECT run_id, name FROM runs_overview")
        await execute(database, "CREATE VIEW reports.best AS SELECT run_id, min_value FROM series")
        done = await asyncio.to_thread(rebuild, variables)
        await write(kafka, topic, [author.metrics("loss", [0.25])])
        await until_folded(database, topic, 3)

    assert done.returncode == 0, done.stderr
    assert [tuple(row) for row in await execute(database, "SELECT * FROM reports.names")] == [("r1", "first")]
    assert [tuple(row) for row in await execute(database, "SELECT * FROM reports.best")] == [("r1", 0.25)]
    assert [tuple(row) for row in await execute(database, "SELECT count(*) FROM metric_points")] == [(2,)]
    grants = "SELECT grantee FROM information_schema.table_privileges WHERE table_name = 'runs' AND grantee = 'PUBLIC'"
    assert len(await execute(database, grants)) == 1


async def test_objects_that_depend_on_the_old_tables_are_named_and_nothing_is_switched(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = environment(kafka, topic, database)
    await write(kafka, topic, [Author("r1").start()])
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, 1)
    await execute(database, "CREATE MATERIALIZED VIEW frozen AS SELECT run_id FROM runs")
    before = await folded_rows(database)

    refused = await asyncio.to_thread(rebuild, variables)
    await execute(database, "DROP MATERIALIZED VIEW frozen")
    done = await asyncio.to_thread(rebuild, variables)

    assert refused.returncode == 2
    assert "materialized view frozen depends on table" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert done.returncode == 0, done.stderr
    assert await folded_rows(database) == before


async def test_a_second_rebuild_at_the_same_time_is_refused(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        pass
    async with connected(database) as other:
        await other.execute("SELECT pg_advisory_lock(hashtextextended('rebuild', 0))")
        done = await asyncio.to_thread(rebuild, variables)

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "another `gateway rebuild` is running on PostgreSQL" in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DELETE FROM _pogo_migration WHERE migration_id LIKE '%_02_%'", "start its materialiser, which migrates them"),
        (
            "INSERT INTO _pogo_migration SELECT 'x', '20991231_99_later', applied, schema_name FROM _pogo_migration "
            "LIMIT 1",
            "was migrated by a newer release (20991231_99_later)",
        ),
        ("INSERT INTO consumer_offsets VALUES ('materialiser', 'other', 0, 5)", "rows folded from other"),
        ("CREATE SCHEMA gateway_rebuild", "has a schema gateway_rebuild that `gateway rebuild` did not create"),
    ],
    ids=["older", "newer", "another topic", "a schema of others"],
)
async def test_tables_that_cannot_be_rebuilt_are_left_alone_with_one_line(
    kafka: str, topic: str, database: str, tmp_path: Path, change: str, message: str
) -> None:
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        pass
    await execute(database, change)
    before = await folded_rows(database)

    done = await asyncio.to_thread(rebuild, variables)

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert message in done.stderr
    assert await folded_rows(database) == before


async def test_a_rebuild_that_other_code_began_is_not_resumed(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = environment(kafka, topic, database)
    await write(kafka, topic, [Author("r1").start()])
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, 1)
    await execute(database, f"CREATE SCHEMA {SIDE}")
    await execute(database, f"""COMMENT ON SCHEMA {SIDE} IS '{{"topic": "{topic}", "fold": "older"}}'""")

    refused = await asyncio.to_thread(rebuild, variables)
    done = await asyncio.to_thread(rebuild, variables, "--restart")

    assert (refused.returncode, done.returncode) == (2, 0), done.stderr
    assert "`gateway rebuild --restart`" in refused.stderr
    assert not await has_side(database)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("postgres", "postgresql://user@127.0.0.1:1/none", "PostgreSQL at 127.0.0.1:1/none cannot be reached"),
        ("kafka", "127.0.0.1:1", "Kafka at 127.0.0.1:1 cannot be reached"),
        ("topic", "no-such-topic", "has no topic no-such-topic"),
    ],
)
async def test_without_log_or_store_it_says_so_in_one_line(
    kafka: str, topic: str, database: str, tmp_path: Path, setting: str, value: str, message: str
) -> None:
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        pass

    done = await asyncio.to_thread(rebuild, variables | {f"GATEWAY_{setting.upper()}": value})

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert message in done.stderr


async def test_a_database_without_tables_is_no_store_yet(kafka: str, topic: str, empty_database: str) -> None:
    done = await asyncio.to_thread(rebuild, environment(kafka, topic, empty_database))

    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "has no tables yet" in done.stderr
