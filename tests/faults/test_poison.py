"""Thousands of records that cannot be folded, among good ones: they are parked, or the worker stops with a reason."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from schemas.wire import EncodedRecord, encode
from tests.support.gateway_command import gateway_with
from tests.support.log_author import Author, write_records
from tests.support.materialiser_process import Materialiser, environment, folded, materialiser, reading, until_folded
from tests.support.poison_records import poison
from tests.support.raw_log import write_raw
from tests.support.topic_reader import read_topic

Bytes = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]


def good_records(count: int, run_id: str = "good") -> list[EncodedRecord]:
    author = Author(run_id)
    envelopes = [author.start(), *(author.metrics("loss", [1.0], first_step=step) for step in range(count - 2))]
    return [encode(envelope) for envelope in [*envelopes, author.finish()]]


def mixed(good: Sequence[EncodedRecord], bad: Iterable[EncodedRecord], dice: random.Random) -> list[EncodedRecord]:
    """Return both, interleaved at random, each in its order."""
    poisonous = list(bad)
    kinds = [True] * len(good) + [False] * len(poisonous)
    dice.shuffle(kinds)
    from_good, from_bad = iter(good), iter(poisonous)
    return [next(from_good) if is_good else next(from_bad) for is_good in kinds]


def of_record(record: EncodedRecord) -> Bytes:
    # PostgreSQL and the clients of Kafka hold names as text, with invalid bytes escaped.
    names = [name.encode(errors="surrogateescape").decode(errors="backslashreplace") for name, _ in record.headers]
    return record.key, record.value, tuple(zip(names, (value for _, value in record.headers), strict=True))


def of_letter(row: Any) -> Bytes:
    headers = tuple(zip(row["header_names"], row["header_values"], strict=True))
    return row["record_key"], row["record_value"], headers


def of_published(found: Any) -> Bytes:
    own = tuple(header for header in found.headers if not header[0].startswith("dead_letter_"))
    return found.key, found.value or b"", own


def place_of(found: Any) -> tuple[int, int]:
    said = dict(found.headers)
    return int(said["dead_letter_partition"]), int(said["dead_letter_offset"])


async def letters(database: str) -> list[Any]:
    connection = await asyncpg.connect(database)
    try:
        return await connection.fetch("SELECT * FROM dead_letters ORDER BY partition, log_offset")
    finally:
        await connection.close()


async def stored_steps(database: str, run_id: str = "good") -> list[int]:
    async with reading(database) as store:
        return sorted([point.step async for point in store.points(run_id)])


async def published(kafka: str, topic: str, parked: Sequence[Any]) -> list[Any]:
    """Return the topic of dead letters when each parked record is in it."""
    places = {(row["partition"], row["log_offset"]) for row in parked}
    return await read_topic(kafka, f"{topic}-dead", lambda found: places <= {place_of(one) for one in found})


async def test_ten_thousand_poison_records_among_good_ones_are_parked_and_stop_nothing(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    good = good_records(2_000)
    bad = list(poison(good[1], 10_000))
    await write_raw(kafka, topic, mixed(good, bad, random.Random(5)))
    with materialiser(tmp_path, environment(kafka, topic, database)) as one:
        await until_folded(database, topic, len(good) + len(bad))
        parked = await letters(database)
        found = await published(kafka, topic, parked)
        assert one.process.poll() is None

    assert await stored_steps(database) == list(range(1_998))
    assert Counter(map(of_letter, parked)) == Counter(map(of_record, bad))
    assert all(row["reason"] for row in parked)
    assert Counter(map(of_published, found)) == Counter(map(of_record, bad))
    assert all(dict(one.headers)["dead_letter_reason"] for one in found)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("dead_letters_in_row", "the 30 records before it could not be folded, nor can the one there"),
        ("dead_letters_per_run", "30 records of run good could not be folded, nor can the one there"),
    ],
)
async def test_above_a_limit_it_stops_before_the_record_says_what_to_do_and_goes_on_when_raised(
    kafka: str, topic: str, database: str, tmp_path: Path, setting: str, said: str
) -> None:
    good = good_records(80)
    bad = [good[1]._replace(value=b"%d" % number) for number in range(35)]
    together = [*good[:40], *bad, *good[40:]]
    limited = environment(kafka, topic, database, batch_records="7", **{setting: "30"})
    await write_records(kafka, topic, together)

    first = Materialiser(tmp_path, limited).process.wait(150)
    parked = await letters(database)
    again = Materialiser(tmp_path, limited)
    second = again.process.wait(150)
    last = again.text().splitlines()[-1]

    assert (first, second) == (78, 78)
    assert len(parked) == 30
    assert await letters(database) == parked
    assert await folded(database, topic) == 70
    assert last.startswith(f"gateway: materialiser: {topic}/")
    assert f"is folded up to offset 70: {said} (" in last
    assert f"(their bytes stay) and `gateway up`; GATEWAY_{setting.upper()} is the limit" in last
    raised = limited | {f"GATEWAY_{setting.upper()}": "35"}
    with materialiser(tmp_path, raised):
        await until_folded(database, topic, len(together))
    assert len(await letters(database)) == 35
    assert await stored_steps(database) == list(range(78))


@pytest.mark.parametrize("setting", ["dead_letters_in_row", "dead_letters_per_run"])
async def test_above_a_limit_it_goes_on_behind_what_was_decided_about(
    kafka: str, topic: str, database: str, tmp_path: Path, setting: str
) -> None:
    good = good_records(40)
    bad = [good[1]._replace(value=b"%d" % number) for number in range(50)]
    together = [*good[:20], *bad, *good[20:]]
    variables = environment(kafka, topic, database, batch_records="7", **{setting: "30"})
    await write_records(kafka, topic, together)

    first = Materialiser(tmp_path, variables).process.wait(150)
    stopped = len(await letters(database))
    chosen = ["--all"] if setting == "dead_letters_in_row" else ["--run", "good"]
    settings = {name: value for name, value in variables.items() if name.startswith("GATEWAY_")}
    done = await asyncio.to_thread(gateway_with, settings, "dead-letters", "discard", *chosen, "--yes")
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, len(together))

    rows = await letters(database)
    assert (first, stopped, done.returncode) == (78, 30, 0), done.stderr
    assert [row["in_row"] for row in rows] == list(range(1, 51))
    assert await stored_steps(database) == list(range(38))


async def test_a_good_record_between_starts_counting_in_a_row_anew(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    good = good_records(40)
    together = [record for one in good for record in (one, *(one._replace(value=b"bad") for _ in range(3)))]
    await write_records(kafka, topic, together)
    with materialiser(tmp_path, environment(kafka, topic, database, dead_letters_in_row="3", batch_records="5")):
        await until_folded(database, topic, len(together))

    rows = await letters(database)

    assert [row["in_row"] for row in rows] == [1, 2, 3] * 40
    assert [row["of_run"] for row in rows] == list(range(1, 121))


async def test_sigkill_while_parking_parks_each_once_and_publishes_each_in_order(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    good = good_records(300)
    bad = list(poison(good[1], 1_500))
    dice = random.Random(20261121)
    variables = environment(kafka, topic, database, batch_records="20")
    await write_raw(kafka, topic, mixed(good, bad, dice))
    for share in (0.1, 0.3, 0.5, 0.7):
        one = Materialiser(tmp_path, variables).until_ready()
        await until_folded(database, topic, int(1_800 * share) + dice.randrange(100))
        one.kill()
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, 1_800)
        parked = await letters(database)
        found = await published(kafka, topic, parked)

    firsts = list(dict.fromkeys(map(place_of, found)))
    assert Counter(map(of_letter, parked)) == Counter(map(of_record, bad))
    assert await stored_steps(database) == list(range(298))
    assert {of_published(one) for one in found} == {of_record(one) for one in bad}
    for partition in {place[0] for place in firsts}:
        offsets = [place[1] for place in firsts if place[0] == partition]
        assert offsets == sorted(offsets)


async def test_folding_poison_again_from_offset_0_gives_the_same_dead_letters(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    good = good_records(100)
    together = mixed(good, poison(good[1], 400), random.Random(7))
    await write_raw(kafka, topic, together)
    with materialiser(tmp_path, environment(kafka, topic, database, batch_records="7")) as one:
        await until_folded(database, topic, 200)
        one.kill()
    with materialiser(tmp_path, environment(kafka, topic, database, batch_records="33")):
        await until_folded(database, topic, len(together))
    first = await letters(database)
    connection = await asyncpg.connect(database)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, len(together))

    assert len(first) == 400
    assert await letters(database) == first
