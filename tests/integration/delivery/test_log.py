"""The reader of the log and its topics, with a real broker."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from consumers.log.reader import LogReader
from consumers.log.record import Record
from consumers.log.topics import ensure_topics
from schemas.errors import LogGap, LogUnavailable
from schemas.runtime.settings import Settings
from schemas.wire import decode
from tests.support.log_author import Author, write
from tests.support.truncated_log import delete_before


@pytest.fixture
async def reader(kafka: str, topic: str) -> AsyncIterator[LogReader]:
    made = LogReader(kafka, topic)
    await made.open()
    yield made
    await made.close()


async def fetch(reader: LogReader, count: int) -> list[Record]:
    found: list[Record] = []
    while len(found) < count:
        records = await reader.fetch(timeout_ms=20_000, max_records=count - len(found))
        assert records, f"only {len(found)} of {count} records came within 20 s"
        found += records
    return found


async def test_what_was_written_is_read_in_order_from_explicit_offsets(
    reader: LogReader, kafka: str, topic: str
) -> None:
    author = Author("run-1")
    envelopes = [author.start(), author.metrics("loss", [1.0, 0.5]), author.finish()]
    await write(kafka, topic, envelopes)
    ends = await reader.end_offsets()

    await reader.assign(dict.fromkeys(await reader.partitions(), 0))
    records = await fetch(reader, 3)

    assert [decode(r.key, r.value, r.headers) for r in records] == envelopes
    assert sum(ends.values()) == 3


async def test_reading_starts_at_the_requested_offset(reader: LogReader, kafka: str, topic: str) -> None:
    author = Author("run-1")
    await write(kafka, topic, [author.metrics("loss", [float(i)]) for i in range(5)])
    partition = next(p for p, end in (await reader.end_offsets()).items() if end)

    await reader.assign({partition: 3})
    records = await fetch(reader, 2)

    assert [r.offset for r in records] == [3, 4]


async def test_a_start_beyond_the_end_names_the_offsets(reader: LogReader) -> None:
    with pytest.raises(LogGap, match="partition 0 ends at offset 0, before offset 7 of this reader"):
        await reader.assign({0: 7})


async def test_deleted_records_are_a_gap_not_a_jump(reader: LogReader, kafka: str, topic: str) -> None:
    author = Author("run-1")
    await write(kafka, topic, [author.metrics("loss", [float(i)]) for i in range(5)])
    partition = next(p for p, end in (await reader.end_offsets()).items() if end)
    await delete_before(kafka, topic, {partition: 3})

    with pytest.raises(LogGap, match=f"offsets 1 to 2 of partition {partition} are gone"):
        await reader.assign({partition: 1})


async def test_no_broker_is_an_outage_with_the_address_in_it() -> None:
    reader = LogReader("127.0.0.1:1", "tracking.events")
    try:
        with pytest.raises(LogUnavailable, match=r"Kafka at 127\.0\.0\.1:1"):
            await reader.open()
    finally:
        await reader.close()


async def test_topics_are_created_once_and_kept_for_ever(kafka: str) -> None:
    names = {"topic": f"log-{uuid.uuid4().hex}", "dead_letter_topic": f"dead-{uuid.uuid4().hex}"}
    settings = Settings(kafka=kafka, partitions=3, **names)  # type: ignore[arg-type]  # fields by name

    await ensure_topics(settings)
    await ensure_topics(settings)

    reader = LogReader(kafka, settings.topic)
    await reader.open()
    assert await reader.partitions() == [0, 1, 2]
    await reader.close()
