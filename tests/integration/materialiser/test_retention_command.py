"""What `gateway retention` prints for wrong options and at the wrong moment."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from consumers.log.record import Record
from consumers.materialiser.worker import Worker
from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from schemas.wire import encode
from tests.support.gateway_command import gateway
from tests.support.log_author import Author
from tests.support.rebuild_process import connected, execute

JUNE = 1_780_704_000_000_000  # µs: 2026-06-06


async def retention(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(gateway, "retention", *arguments, GATEWAY_POSTGRES=database)


@pytest.fixture
async def june(database: str) -> str:
    """A database with one run of three points."""
    author = Author("one", time=JUNE)
    envelopes = [encode(one) for one in (author.start(), author.metrics("loss", [1.0, 2.0, 3.0]), author.finish())]
    records = [Record("log", 0, at, one.key, one.value, tuple(one.headers), 0) for at, one in enumerate(envelopes)]
    db = await open_database(database)
    try:
        await migrate(db)
        worker = Worker(db, "log")
        await worker.assign([0])
        await worker.apply(records)
    finally:
        await db.close()
    return database


async def points(database: str) -> int:
    (row,) = await execute(database, "SELECT count(*) FROM metric_points")
    return int(row[0])


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--before", "2026-13"), 2, "'2026-13' is not a month: write year and month, such as 2026-08"),
        (("--before", "august", "--yes"), 2, "'august' is not a month"),
        (("--before", "2099-01", "--yes"), 2, "--before 2099-01 is in the future: "),
        (("--before", "2026-08"), 2, "confirmation is needed, and stdin is not a terminal: add --yes, or --dry-run"),
        (("--yes",), 2, "Missing option '--before'"),
        (("--before", "2026-06", "--yes"), 0, "Nothing to drop: no points of months before 2026-06 are kept."),
        (("--before", "2026-07", "--dry-run"), 0, "would drop 2026-06: 1 runs, 3 points, "),
    ],
)
async def test_wrong_options_get_one_line_and_drop_nothing(
    june: str, arguments: tuple[str, ...], status: int, message: str
) -> None:
    done = await retention(june, "drop", *arguments)

    assert done.returncode == status, done.stdout + done.stderr
    assert message in done.stdout + done.stderr
    assert await points(june) == 3


async def test_months_and_what_was_dropped_are_listed(june: str) -> None:
    before = await retention(june, "show")
    done = await retention(june, "drop", "--before", "2026-07", "--yes")
    again = await retention(june, "drop", "--before", "2026-07", "--yes")
    after = await retention(june, "show")

    assert [done.returncode, again.returncode] == [0, 0], done.stderr + again.stderr
    (row,) = [line for line in before.stdout.splitlines() if "2026-06" in line]
    assert "kept" in row
    assert again.stdout == "Nothing to drop: no points of months before 2026-07 are kept.\n"
    (row,) = [line for line in after.stdout.splitlines() if "2026-06" in line]
    assert "dropped 20" in row
    assert await points(june) == 0


async def test_a_database_that_is_not_there_or_empty_is_named(empty_database: str) -> None:
    unknown = await retention(f"{empty_database}_nowhere", "show")
    empty = await retention(empty_database, "drop", "--before", "2026-07", "--yes")

    assert (unknown.returncode, empty.returncode) == (2, 2)
    assert "create the database, or correct its name in GATEWAY_POSTGRES" in unknown.stderr
    assert "has no tables yet" in empty.stderr
    assert "start the materialiser" in empty.stderr
    assert [len(message.stderr.splitlines()) for message in (unknown, empty)] == [1, 1]


async def test_nothing_is_dropped_while_a_rebuild_runs(june: str) -> None:
    async with connected(june) as other:
        await other.execute("SELECT pg_advisory_lock(hashtextextended('rebuild', 0))")
        done = await retention(june, "drop", "--before", "2026-07", "--yes")

    assert done.returncode == 2
    assert "a `gateway rebuild` is running" in done.stderr
    assert await points(june) == 3
