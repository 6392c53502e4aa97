"""A record with a header name that is not UTF-8, which aiokafka refuses to read: it is parked and nothing stops."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from consumers.log.reader import LogReader
from schemas.wire import EncodedRecord, encode
from tests.support.delivery_process import Place, delivery, until_caught_up
from tests.support.gateway_command import gateway_with
from tests.support.live_server import serving, settings_for, stream
from tests.support.log_author import Author
from tests.support.materialiser_process import dump, environment, materialiser, reading, until_folded
from tests.support.raw_log import CODECS, batch_of, with_bad_header_name, write_batches

Read = list[tuple[int, bytes | None, list[str]]]  # offset, value and header names of each record


def good_records(count: int, run_id: str = "run") -> list[EncodedRecord]:
    """Return a complete run of `count` records."""
    author = Author(run_id)
    batches = [author.start(), *(author.metrics("loss", [1.0], first_step=step) for step in range(count - 2))]
    return [encode(batch) for batch in [*batches, author.finish()]]


def command(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return gateway_with({name: value for name, value in variables.items() if name.startswith("GATEWAY_")}, *arguments)


def facts(variables: dict[str, str], *arguments: str) -> Any:
    done = command(variables, *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def with_one_bad(good: list[EncodedRecord]) -> list[list[EncodedRecord]]:
    """Return three batches; the bad record is in the middle of the second one."""
    return [good[:2], [good[2], with_bad_header_name(good[2]), good[3]], good[4:]]


@pytest.fixture
async def reader(kafka: str, topic: str) -> AsyncIterator[LogReader]:
    made = LogReader(kafka, topic)
    await made.open()
    yield made
    await made.close()


async def read(reader: LogReader, start: int, end: int, max_records: int) -> Read:
    """Read partition 0 from `start` to `end`."""
    await reader.assign({0: start})
    found: Read = []
    while not found or found[-1][0] < end - 1:
        records = await reader.fetch(timeout_ms=20_000, max_records=max_records)
        assert records, f"nothing more came within 20 s after {found}"
        found += [(one.offset, one.value, [name for name, _ in one.headers]) for one in records]
    return found


def expected(records: list[EncodedRecord], start: int = 0) -> Read:
    return [
        (offset, one.value, [name for name, _ in one.headers]) for offset, one in enumerate(records) if offset >= start
    ]


@pytest.mark.parametrize("codec", CODECS)
async def test_every_record_of_the_batch_and_around_it_is_read_once_in_order(
    kafka: str, topic: str, reader: LogReader, codec: str
) -> None:
    batches = with_one_bad(good_records(6))
    together = [record for batch in batches for record in batch]
    await write_batches(kafka, topic, 0, [batch_of(batch, codec) for batch in batches])

    assert await read(reader, 0, len(together), 100) == expected(together)
    assert await read(reader, 0, len(together), 1) == expected(together)
    assert await read(reader, 4, len(together), 100) == expected(together, 4), "from behind it, in the same batch"


async def test_hundreds_of_such_batches_among_good_ones_are_read_in_order(
    kafka: str, topic: str, reader: LogReader
) -> None:
    dice = random.Random(3)
    records = [with_bad_header_name(one) if dice.random() < 0.3 else one for one in good_records(2_000)]
    cuts = [0, *sorted(dice.sample(range(1, 2_000), 499)), 2_000]
    batches = [records[start:end] for start, end in pairwise(cuts)]
    await write_batches(kafka, topic, 0, [batch_of(one, dice.choice(list(CODECS))) for one in batches])

    assert await read(reader, 0, 2_000, 700) == expected(records)


@pytest.mark.parametrize("codec", ["none", "zstd"])
async def test_it_is_parked_with_a_reason_and_the_records_around_it_are_folded(
    kafka: str, topic: str, database: str, tmp_path: Path, codec: str
) -> None:
    batches = with_one_bad(good_records(6))
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables) as one:
        await write_batches(kafka, topic, 0, [batch_of(batch, codec) for batch in batches])
        await until_folded(database, topic, 7)
        assert one.process.poll() is None
    async with reading(database) as store:
        steps = [point.step async for point in store.points("run")]

    assert steps == list(range(4))
    (letter,) = facts(variables, "dead-letters", "list")["dead_letters"]
    assert (letter["id"], letter["kind"]) == (f"{topic}:0:3", "NotAnEvent")
    assert letter["reason"] == (
        r"the record has no header 'ce_type', and the name of one is no UTF-8: 'ce_t\xff\xfepe'"
    )
    assert command(variables, "rebuild", "--check").returncode == 0


async def test_the_command_shows_it_and_replays_it_only_on_demand(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    variables = environment(kafka, topic, database)
    bad = with_bad_header_name(good_records(2)[0])
    await write_batches(kafka, topic, 0, [batch_of([bad])])
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, 1)
        letter = f"{topic}:0:0"
        shown = facts(variables, "dead-letters", "show", letter)
        refused = command(variables, "dead-letters", "replay", letter)
        again = command(variables, "dead-letters", "replay", letter, "--anyway")
        await until_folded(database, topic, 2)

    assert [one["name"] for one in shown["headers"]][1] == r"ce_t\xff\xfepe"
    assert shown["value"]["text"] == bad.value.decode()
    assert "it would be parked again (the record has no header 'ce_type')" in refused.stdout + refused.stderr
    assert again.returncode == 0
    assert len(facts(variables, "dead-letters", "list")["dead_letters"]) == 1, "the copy; the first is replayed"


async def test_a_complete_event_is_folded_whatever_an_additional_header_is_called(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    good = [one._replace(headers=[("trace\udcff", b"1"), *one.headers]) for one in good_records(6)]
    await write_batches(kafka, topic, 0, [batch_of(good)])
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, 6)
    rows = await dump(database)

    assert (len(rows["runs"]), rows["dead_letters"]) == (1, [])


async def test_delivery_and_the_live_stream_continue(kafka: str, topic: str, database: str, tmp_path: Path) -> None:
    batches = with_one_bad(good_records(6))
    place = Place(kafka, topic, database, tmp_path)
    async with serving(settings_for(kafka, topic, database, tmp_path)) as live, stream(live) as frames:
        with delivery(place, "nothing") as running:
            await write_batches(kafka, topic, 0, [batch_of(batch) for batch in batches])
            seen = await frames.take(6)
            await until_caught_up(place, running, "nothing")
            assert running.process.poll() is None
        async with stream(live, since="0:0,1:0") as behind:
            caught_up = await behind.take(6)

    assert [one["offset"] for one in seen] == [0, 1, 2, 4, 5, 6]
    assert caught_up == seen
