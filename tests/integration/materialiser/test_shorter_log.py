"""The log is replaced by a shorter one: each consumer names it and stops, at its start and while it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from consumers.log.reader import LogReader, PlacedTime
from consumers.log.watermarks import Bounds
from consumers.materialiser.gaps import CHECKS, watch_for_gap
from schemas.errors import LogShorter, LogUnavailable
from schemas.wire import Envelope, encode
from tests.support.delivery_process import Delivery, Place, delivery, until_caught_up
from tests.support.live_server import serving, settings_for
from tests.support.log_author import Author, write
from tests.support.materialiser_process import DEADLINE_S, Materialiser, environment, materialiser, until_folded
from tests.support.raw_log import batch_of, write_batches
from tests.support.rebuild_process import execute, rebuild
from tests.support.recording_tracker import Recorder
from tests.support.truncated_log import replace_topic

NEXT_STEP = "restore the log that has these offsets, or start with an empty database"


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def run(name: str, records: int) -> list[Envelope]:
    author = Author(name)
    return [author.start()] + [author.metrics("loss", [0.5], first_step=step) for step in range(records - 1)]


async def test_a_worker_names_it_at_its_start_and_folds_nothing(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables):
        await write(kafka, topic, run("old", 6))
        await until_folded(database, topic, 6)
    await replace_topic(kafka, topic, 2)
    await write(kafka, topic, run("old", 3))

    worker = Materialiser(tmp_path, variables)
    status = await asyncio.to_thread(worker.process.wait, DEADLINE_S)
    checked = await asyncio.to_thread(rebuild, variables, "--check")

    last = worker.text().splitlines()[-1]
    (row,) = await execute(database, "SELECT partition FROM runs")
    assert status == 78, worker.text()
    assert f"{topic}: partition {row['partition']} ends at offset 3, before offset 6 of the materialiser" in last
    assert last.rstrip('"}').endswith(NEXT_STEP), last
    assert (checked.returncode, "before offset 6 of the materialiser" in checked.stderr) == (1, True), checked.stderr


async def test_a_log_that_was_replaced_and_is_as_long_again_is_recognised_by_its_last_record(
    place: Place, recorder: Recorder, tmp_path: Path
) -> None:
    with materialiser(tmp_path, place.variables()), delivery(place, "recorder", recorder.variables()) as sent:
        await write(place.kafka, place.topic, run("old", 6))
        await until_folded(place.database, place.topic, 6)
        await until_caught_up(place, sent, "recorder")
    await replace_topic(place.kafka, place.topic, 2)
    await write(place.kafka, place.topic, run("old", 30))

    worker = Materialiser(tmp_path, place.variables())
    again = Delivery(place, "recorder", recorder.variables())
    statuses = [await asyncio.to_thread(one.process.wait, DEADLINE_S) for one in (worker, again)]

    assert statuses == [78, 78], worker.text() + again.text()
    for text in (worker.text(), again.text()):
        assert "is not the one that the materialiser has read" in text.splitlines()[-1]
    assert recorder.lines() == 6


async def test_a_running_worker_and_a_running_delivery_name_it_and_end(
    place: Place, recorder: Recorder, tmp_path: Path
) -> None:
    variables = place.variables()
    with materialiser(tmp_path, variables) as worker, delivery(place, "recorder", recorder.variables()) as sent:
        await write(place.kafka, place.topic, run("old", 6))
        await until_folded(place.database, place.topic, 6)
        await until_caught_up(place, sent, "recorder")
        await replace_topic(place.kafka, place.topic, 2)
        await write(place.kafka, place.topic, run("next", 2))  # like "old" in partition 0, the only one that was read
        status = await asyncio.to_thread(worker.process.wait, DEADLINE_S)
        delivered = await asyncio.to_thread(sent.process.wait, DEADLINE_S)

    assert (status, delivered) == (78, 78), worker.text() + sent.text()
    assert "before offset 6 of the materialiser" in worker.text().splitlines()[-1]
    assert NEXT_STEP in sent.text().splitlines()[-1]
    assert recorder.lines() == 6

    again = Delivery(place, "recorder", recorder.variables())
    assert await asyncio.to_thread(again.process.wait, DEADLINE_S) == 78
    assert "before offset 6 of the delivery to recorder" in again.text().splitlines()[-1]


async def test_a_delivery_looks_at_the_offsets_of_its_runs_too(place: Place, recorder: Recorder) -> None:
    """A run's checkpoint is written with every call, the offsets of the partitions a little later."""
    with delivery(place, "recorder", recorder.variables()) as sent:
        await write(place.kafka, place.topic, run("old", 6))
        await until_caught_up(place, sent, "recorder")
    await execute(place.database, "UPDATE consumer_offsets SET next_offset = 0")
    await replace_topic(place.kafka, place.topic, 2)

    again = Delivery(place, "recorder", recorder.variables())
    assert await asyncio.to_thread(again.process.wait, DEADLINE_S) == 78
    assert "before offset 6 of the delivery to recorder" in again.text().splitlines()[-1]


async def test_the_api_says_so_in_its_status_and_is_not_healthy(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic, database, tmp_path)
    await write(kafka, topic, run("old", 6))
    async with serving(settings) as live:
        await replace_topic(kafka, topic, 2)
        status = await live.json("/v1/status")
        health = await live.get("/healthz")

    assert any("before offset 6 of materialiser" in problem for problem in status["problems"]), status
    assert (health.status_code, "before offset 6 of the materialiser" in health.text) == (503, True), health.text


async def test_a_running_worker_needs_several_answers_that_agree() -> None:
    """The end of a partition may be out of date while a broker becomes its leader."""
    answers = [5, 4, 4, 5, None, *[4] * CHECKS]

    async def ask() -> Bounds:
        end = answers.pop(0)
        if end is None:
            raise LogUnavailable
        return Bounds({0: 0}, {0: end})

    found = await watch_for_gap("log", ask, lambda: {0: 5}, lambda: False, interval_s=0.001)

    assert (type(found), answers) == (LogShorter, [])


@pytest.mark.parametrize("replaced", [0, 1])
async def test_a_replaced_partition_is_recognised_behind_many_new_records_of_another(
    kafka: str, topic: str, replaced: int
) -> None:
    made = encode(Author("run").start())
    batch = batch_of([made._replace(value=b"", headers=())] * 4_000)
    reader = LogReader(kafka, topic)
    try:
        for partition in (0, 1):
            await write_batches(kafka, topic, partition, [batch] * 6)
        await reader.open()
        await reader.assign({0: 0, 1: 0})
        read: dict[int, PlacedTime] = {}
        while len(read) < 2:
            for one in await reader.fetch(timeout_ms=500, max_records=100_000):
                read.setdefault(one.partition, PlacedTime(one.offset, one.time_ms))

        await reader.check_same_log(read, "the reader")
        read[replaced] = PlacedTime(0, read[replaced].time_ms - 1)
        with pytest.raises(LogShorter, match=f"record 0 of partition {replaced} is not the one"):
            await reader.check_same_log(read, "the reader")
    finally:
        await reader.close()
