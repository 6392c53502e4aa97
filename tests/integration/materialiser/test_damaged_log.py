"""A damaged byte in the log on the broker's disk: earlier records are kept, none is skipped, the offset is named."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from consumers.log.reader import LogReader
from schemas.errors import LogDamaged
from schemas.wire import encode
from tests.support.delivery_process import Place, Watch, delivery
from tests.support.live_server import serving, settings_for, stream
from tests.support.log_author import Author
from tests.support.materialiser_process import environment, materialiser, until_folded
from tests.support.raw_log import batch_of, write_batches

WHOLE, IN_BATCH = 4, 40  # batches of two records before the damaged one; index of the changed byte in it


async def write_whole(kafka: str, topic: str, data: Path) -> tuple[Path, int]:
    """Write six batches of two records to partition 0; return the file and position of a byte of the fifth batch."""
    author = Author("run")
    records = [encode(author.start()), *(encode(author.metrics("loss", [1.0], first_step=n)) for n in range(11))]
    batches = [batch_of(records[start : start + 2]) for start in range(0, 12, 2)]
    await write_batches(kafka, topic, 0, batches)
    return data / f"{topic}-0" / f"{0:020}.log", sum(map(len, batches[:WHOLE])) + IN_BATCH


async def write_damaged(kafka: str, topic: str, data: Path) -> tuple[Path, int]:
    """Write these batches and change that byte."""
    place = await write_whole(kafka, topic, data)
    damage(*place)
    return place


def damage(segment: Path, place: int) -> None:
    with segment.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x01]))


@pytest.fixture
def data(kafka: str, session_folder: Path) -> Path:
    """The folder of the broker's log."""
    return session_folder / "kafka" / "data"


async def read_all(reader: LogReader, offsets: list[int]) -> NoReturn:
    """Read until an error, collecting the offsets."""
    while True:
        offsets += [record.offset for record in await reader.fetch(timeout_ms=1_000, max_records=100)]


def start_of_message(topic: str) -> str:
    return f"{topic}, partition 0: the log is damaged at offset 8 (its checksum is wrong): restore"


async def test_a_reader_gets_what_lies_before_and_then_an_error_each_time_that_names_the_place(
    kafka: str, topic: str, data: Path
) -> None:
    await write_damaged(kafka, topic, data)
    reader = LogReader(kafka, topic)
    offsets: list[int] = []
    try:
        await reader.open()
        await reader.assign({0: 0})
        with pytest.raises(LogDamaged) as first:
            await read_all(reader, offsets)
        with pytest.raises(LogDamaged) as second:
            await read_all(reader, offsets)
    finally:
        await reader.close()

    assert offsets == list(range(8))
    assert str(first.value).startswith(start_of_message(topic))
    assert str(second.value) == str(first.value)
    assert "restore this partition from another broker or a backup of it" in str(first.value)


async def test_the_materialiser_names_the_place_and_continues_with_the_other_partitions(
    kafka: str, topic: str, database: str, tmp_path: Path, data: Path
) -> None:
    await write_damaged(kafka, topic, data)
    author = Author("other")
    records = [encode(author.start()), *(encode(author.metrics("loss", [1.0], first_step=n)) for n in range(3))]
    await write_batches(kafka, topic, 1, [batch_of(records)])
    with materialiser(tmp_path, environment(kafka, topic, database)) as one:
        await until_folded(database, topic, 8 + 4)
        await write_batches(kafka, topic, 1, [batch_of([encode(author.metrics("loss", [1.0], first_step=3))])])
        await until_folded(database, topic, 8 + 5)

    assert one.text().count(start_of_message(topic)) == 1
    assert "Other partitions continue" in one.text()


async def test_a_reader_continues_with_the_other_partitions_and_loses_nothing_of_them(
    kafka: str, topic: str, data: Path
) -> None:
    """Records of other partitions that the failing fetch contained are read again: none is missing or there twice."""
    damaged = await write_damaged(kafka, topic, data)
    records = [encode(Author("other").metrics("loss", [1.0], first_step=number)) for number in range(40)]
    await write_batches(kafka, topic, 1, [batch_of(records[:20]), batch_of(records[20:])])
    reader = LogReader(kafka, topic)
    found: list[tuple[int, int]] = []
    try:
        await reader.open()
        await reader.assign({0: 0, 1: 0})
        while len(found) < 48:
            try:
                found += [(one.partition, one.offset) for one in await reader.fetch(timeout_ms=500, max_records=3)]
            except LogDamaged as error:
                reader.set_aside(error.partition)
        damage(*damaged)
        reader.take_back()
        while len(found) < 52:
            found += [(one.partition, one.offset) for one in await reader.fetch(timeout_ms=500, max_records=3)]
    finally:
        await reader.close()

    assert [offset for partition, offset in found if partition == 0] == list(range(12))
    assert [offset for partition, offset in found if partition == 1] == list(range(40))


async def test_a_worker_and_a_delivery_start_although_the_last_record_that_was_folded_cannot_be_read(
    kafka: str, topic: str, database: str, tmp_path: Path, data: Path
) -> None:
    """Whether the log is the one that was read is then decided by the other partitions."""
    segment, _ = await write_whole(kafka, topic, data)
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, 12)
    damage(segment, segment.stat().st_size - 5)
    author = Author("other")
    await write_batches(kafka, topic, 1, [batch_of([encode(author.start())])])

    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, 13)
        here = Place(kafka, topic, database, tmp_path)
        with delivery(here, "nothing") as one:
            async with Watch(here, "nothing") as watch:
                await watch.until_offsets({0: 10, 1: 1}, one)


async def test_a_delivery_names_the_place_and_continues_with_the_other_partitions(
    kafka: str, topic: str, database: str, tmp_path: Path, data: Path
) -> None:
    await write_damaged(kafka, topic, data)
    author = Author("other")
    records = [encode(author.start()), *(encode(author.metrics("loss", [1.0], first_step=n)) for n in range(3))]
    await write_batches(kafka, topic, 1, [batch_of(records)])
    place = Place(kafka, topic, database, tmp_path)
    with delivery(place, "nothing") as one:
        async with Watch(place, "nothing") as watch:
            await watch.until_offsets({0: 8, 1: 4}, one)
            await write_batches(kafka, topic, 1, [batch_of([encode(author.metrics("loss", [1.0], first_step=3))])])
            await watch.until_offsets({0: 8, 1: 5}, one)

    assert one.text().count(start_of_message(topic)) == 1
    assert "Other partitions continue" in one.text()


async def test_the_live_stream_ends_there_and_a_new_one_shows_what_comes_now(
    kafka: str, topic: str, database: str, tmp_path: Path, data: Path
) -> None:
    async with serving(settings_for(kafka, topic, database, tmp_path)) as live:
        async with stream(live) as frames:
            place = await write_whole(kafka, topic, data)
            await frames.take(12)
        damage(*place)
        async with stream(live, since="0:0,1:0") as frames:
            seen = await frames.take(8)
            with pytest.raises(EOFError):
                await frames.next()
        async with stream(live) as frames:
            await live.publish_unfolded([Author("another").start()])
            now = await frames.next()

    assert [one["offset"] for one in seen] == list(range(8))
    assert now["run_id"] == "another"


async def test_damage_that_is_repaired_is_read_as_if_nothing_had_been(
    kafka: str, topic: str, database: str, tmp_path: Path, data: Path
) -> None:
    segment, place = await write_damaged(kafka, topic, data)
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, 8)

    damage(segment, place)
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, 12)
