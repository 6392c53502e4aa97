"""The start of the log is deleted under the materialiser and under a rebuild: both name the offsets and stop."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import NamedTuple

from schemas import events as ev
from schemas.wire import Envelope
from tests.support.log_author import Author, write
from tests.support.materialiser_process import DEADLINE_S, Materialiser, environment, materialiser, until_folded
from tests.support.rebuild_process import execute, folded_rows, has_side, rebuild, running, stop_in_the_middle
from tests.support.truncated_log import delete_before


def edits(author: Author, count: int) -> list[Envelope]:
    """Return edits of one run, each of which is folded in a transaction of its own."""
    return [author.envelope(ev.Deleted(time=author.now(), what="tag", name=f"t{number}")) for number in range(count)]


async def position(database: str) -> tuple[int, int]:
    """Return partition and next offset of the only run."""
    (row,) = await execute(
        database,
        "SELECT partition, next_offset FROM consumer_offsets WHERE consumer = 'materialiser' AND next_offset > 0",
    )
    return row["partition"], row["next_offset"]


class Stopped(NamedTuple):
    """How a worker ended after the start of the log was deleted under it."""

    status: int
    text: str
    partition: int
    offset: int  # at its end
    before: int  # its offset when it was paused
    first: int  # of the log afterwards


async def delete_under_worker(kafka: str, topic: str, database: str, folder: Path, left: int) -> Stopped:
    """Write nine records while a worker is paused, delete all but the last `left`, and resume it."""
    author, before = Author("r1"), 1
    with materialiser(folder, environment(kafka, topic, database)) as worker:
        await write(kafka, topic, [author.start()])
        await until_folded(database, topic, before)
        partition, _ = await position(database)
        while True:
            worker.process.send_signal(signal.SIGSTOP)
            await write(kafka, topic, edits(author, 1))  # answers the fetch that is in flight
            await write(kafka, topic, edits(author, 8))
            first = before + 9 - left
            await delete_before(kafka, topic, {partition: first})
            worker.process.send_signal(signal.SIGCONT)
            if await has_ended(worker, database, before + 9):
                break
            before += 9  # the broker had answered late, with all nine: nothing was gone, once more
        status = worker.process.wait(0)
    _, stopped_at = await position(database)
    return Stopped(status, worker.text(), partition, stopped_at, before, first)


async def has_ended(worker: Materialiser, database: str, end: int) -> bool:
    """Return True once a worker has ended, False once it has folded everything below `end`."""
    async with asyncio.timeout(DEADLINE_S):
        while worker.process.poll() is None:
            if (await position(database))[1] == end:
                return False
            await asyncio.sleep(0.02)
    return True


async def test_records_deleted_under_a_running_worker_are_named_and_not_skipped(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    found = await delete_under_worker(kafka, topic, database, tmp_path, left=3)

    assert found.before <= found.offset < found.first, "what it had fetched is folded, and nothing behind the gap"
    assert found.status == 78, found.text
    last = found.text.splitlines()[-1]
    gone = f"offsets {found.offset} to {found.first - 1} of partition {found.partition} are gone from the log"
    assert f"{topic}: {gone}" in last
    assert f"to {found.first} (partition {found.partition})" in last


async def test_a_gap_is_named_even_if_no_new_record_arrives(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    found = await delete_under_worker(kafka, topic, database, tmp_path, left=0)

    assert found.status == 78, found.text
    gone = f"offsets {found.offset} to {found.first - 1} of partition {found.partition} are gone from the log"
    assert f"{topic}: {gone}" in found.text.splitlines()[-1]


async def test_a_worker_that_starts_behind_the_start_of_the_log_names_all_that_is_gone(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    authors = [Author(f"r{number}") for number in range(12)]  # some in each of the 2 partitions
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        await write(kafka, topic, [author.start() for author in authors])
        await until_folded(database, topic, len(authors))
    await write(kafka, topic, [envelope for author in authors for envelope in edits(author, 2)])
    stood = {row["partition"]: row["next_offset"] for row in await execute(database, "SELECT * FROM consumer_offsets")}
    await delete_before(kafka, topic, {part: offset + 2 for part, offset in stood.items()})
    worker = Materialiser(tmp_path, variables)
    status = await asyncio.to_thread(worker.process.wait, DEADLINE_S)

    gone = " and ".join(f"offsets {at} to {at + 1} of partition {part}" for part, at in sorted(stood.items()))
    assert (len(stood), status) == (2, 78), worker.text()
    assert f"{topic}: {gone} are gone from the log" in worker.text().splitlines()[-1]


async def test_a_rebuild_of_a_log_without_its_beginning_names_what_is_gone_and_touches_nothing(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    authors = [Author(f"r{number}") for number in range(12)]
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        await write(kafka, topic, [envelope for author in authors for envelope in edits(author, 2)])
        await until_folded(database, topic, 24)
    await delete_before(kafka, topic, {0: 2, 1: 4})
    before = await folded_rows(database)

    done = await asyncio.to_thread(rebuild, variables, "--restart")
    checked = await asyncio.to_thread(rebuild, variables, "--check", "--json")

    message = f"gateway: {topic}: offsets 0 to 1 of partition 0 and offsets 0 to 3 of partition 1 are gone from the log"
    assert (done.returncode, checked.returncode) == (1, 1)
    assert done.stderr.startswith(message), done.stderr
    assert checked.stderr.startswith(message), checked.stderr
    assert (done.stdout, checked.stdout, len(done.stderr.splitlines())) == ("", "", 1)
    assert await folded_rows(database) == before
    assert not await has_side(database)


async def test_records_deleted_under_a_running_rebuild_are_named_and_not_skipped(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    """Two partitions make the rebuild fetch again after it was paused; the last records are deleted."""
    author = Author("r1")
    variables = environment(kafka, topic, database)
    first = edits(author, 700)
    with materialiser(tmp_path, variables):
        await write(kafka, topic, first)
        await until_folded(database, topic, len(first))
        with running(variables) as one:
            await stop_in_the_middle(database, one, len(first))
            await write(kafka, topic, edits(author, 60))  # after the records that the rebuild has fetched
            await until_folded(database, topic, len(first) + 60)
            partition, _ = await position(database)
            before = await folded_rows(database)
            await delete_before(kafka, topic, {partition: len(first) + 50})
            one.process.send_signal(signal.SIGCONT)
            status, out, message = await asyncio.to_thread(one.end)
    (row,) = await execute(database, "SELECT next_offset FROM gateway_rebuild.consumer_offsets WHERE next_offset > 0")

    gone = f"{topic}: offsets {row['next_offset']} to {len(first) + 49} of partition {partition} are gone from the log"
    assert (status, out) == (1, ""), message
    assert re.search(re.escape(gone), message), message
    assert row["next_offset"] <= len(first), "nothing behind the gap is folded"
    assert await folded_rows(database) == before
