"""`gateway dead-letters` and the topic of dead letters, on a real broker, a real PostgreSQL and a real materialiser."""

from __future__ import annotations

import base64
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas import events as ev
from schemas.wire import EncodedRecord, encode
from tests.support.gateway_command import COMMAND, gateway_with
from tests.support.log_author import Author, write, write_records
from tests.support.materialiser_process import (
    Materialiser,
    environment,
    materialiser,
    reading,
    until,
    until_complete,
    until_folded,
)
from tests.support.topic_reader import read_topic

HOSTILE = b"[red]\x1b[2J\x1b]0;owned\x07[/red]\xff\x00\xe2\x80\xae"


class Setup:
    """A log, a store and the command that reads them."""

    def __init__(self, kafka: str, topic: str, database: str, folder: Path) -> None:
        self.kafka, self.topic, self.database = kafka, topic, database
        self.variables = environment(kafka, topic, database, home=str(folder / "home"))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in self.variables.items() if name.startswith("GATEWAY_")}
        return gateway_with(variables, "dead-letters", *arguments)

    def facts(self, *arguments: str, status: int = 0) -> Any:
        done = self.command(*arguments, "--json")
        assert done.returncode == status, done.stderr + done.stdout
        assert done.stdout.isascii()
        return json.loads(done.stdout)

    def raw(self, letter: str) -> bytes:
        argv = [*COMMAND, "dead-letters", "show", letter, "--raw"]
        return subprocess.run(argv, env=self.variables, capture_output=True, check=True).stdout

    async def write(self, records: list[EncodedRecord]) -> None:
        await write_records(self.kafka, self.topic, records)

    async def execute(self, statement: str) -> str:
        connection = await asyncpg.connect(self.database)
        try:
            return str(await connection.execute(statement))
        finally:
            await connection.close()

    async def completeness(self, run_id: str) -> list[tuple[int, list[tuple[int, int]], int]]:
        async with reading(self.database) as store:
            log = await store.run_log(run_id)
        assert log is not None
        return [(one.received, one.missing, one.refused_duplicates) for one in log.completeness]


@pytest.fixture
def setup(kafka: str, topic: str, database: str, tmp_path: Path) -> Setup:
    return Setup(kafka, topic, database, tmp_path)


@pytest.fixture
def worker(setup: Setup, tmp_path: Path) -> Iterator[Materialiser]:
    with materialiser(tmp_path, setup.variables) as one:
        yield one


def bad_records(run_id: str = "r1", count: int = 3) -> list[EncodedRecord]:
    good = encode(Author(run_id).start())
    return [good._replace(value=b"no event %d" % number) for number in range(count)]


async def letter_ids(setup: Setup) -> list[str]:
    connection = await asyncpg.connect(setup.database)
    try:
        rows = await connection.fetch("SELECT * FROM dead_letters ORDER BY partition, log_offset")
    finally:
        await connection.close()
    return [f"{row['topic']}:{row['partition']}:{row['log_offset']}" for row in rows]


async def parked(setup: Setup, records: list[EncodedRecord]) -> list[str]:
    """Write records that are parked; return their ids, oldest first."""
    before = set(await letter_ids(setup))
    await setup.write(records)
    await until_letters(setup, len(before) + len(records))
    return [one for one in await letter_ids(setup) if one not in before]


async def until_letters(setup: Setup, count: int) -> None:
    async def are_there() -> bool:
        return len(await letter_ids(setup)) >= count

    await until(are_there, f"{count} dead letters")


async def test_the_topic_gets_each_record_as_it_was_and_where_why_and_when(setup: Setup, worker: Materialiser) -> None:
    odd = [("x", b"1"), ("x", b"\xff"), ("µ", b""), ("none", None)]
    sender = AIOKafkaProducer(bootstrap_servers=setup.kafka)
    await sender.start()
    sent = [
        await sender.send_and_wait(setup.topic, partition=0, key=key, value=value, headers=odd)
        for key, value in [(b"k", HOSTILE), (b"k", None), (None, b"v"), (b"", b"")]
    ]
    await sender.stop()

    found = await read_topic(setup.kafka, f"{setup.topic}-dead", lambda records: len(records) >= 4)

    assert [(one.key, one.value) for one in found] == [(b"k", HOSTILE), (b"k", None), (None, b"v"), (b"", b"")]
    assert {one.headers[:4] for one in found} == {tuple(odd)}
    own = [dict(one.headers[4:]) for one in found]
    assert [int(one["dead_letter_offset"]) for one in own] == [one.offset for one in sent]
    assert {(one["dead_letter_topic"], one["dead_letter_partition"]) for one in own} == {(setup.topic.encode(), b"0")}
    assert {(one["dead_letter_kind"], one["dead_letter_reason"]) for one in own} == {
        (b"NotAnEvent", b"the record has no header 'schema'")
    }


async def test_a_topic_that_refuses_everything_delays_no_one_and_a_record_too_large_for_it_is_named(
    setup: Setup, tmp_path: Path
) -> None:
    dead, bad = f"{setup.topic}-dead", bad_records(count=20)
    bad.insert(10, bad[0]._replace(value=random.Random(1).randbytes(9_000)))
    admin = AIOKafkaAdminClient(bootstrap_servers=setup.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(dead, 1, 1, topic_configs={"max.message.bytes": "70"})])
    try:
        with materialiser(tmp_path, setup.variables) as one:
            await setup.write(bad)
            await until_letters(setup, 21)
            await write(setup.kafka, setup.topic, [Author("good").start()])
            await until_folded(setup.database, setup.topic, 22)
            resource = ConfigResource(ConfigResourceType.TOPIC, dead, configs={"max.message.bytes": "2000"})
            await admin.alter_configs([resource])
            found = await read_topic(setup.kafka, dead, lambda found: len({one.headers for one in found}) >= 21)
            assert one.process.poll() is None
    finally:
        await admin.close()

    values = list(dict.fromkeys(one.value for one in found))
    assert values == [record.value if len(record.value) < 100 else b"" for record in bad]
    (omitted,) = {dict(one.headers)["dead_letter_omitted"] for one in found if not one.value}
    assert omitted.startswith(b"9000 bytes")


async def test_a_replay_heals_the_run_once_and_a_second_copy_is_refused(setup: Setup, worker: Materialiser) -> None:
    await setup.execute("ALTER TABLE tags ADD CONSTRAINT odd CHECK (name <> 'odd')")
    author = Author("r1")
    envelopes = [author.start(), author.envelope(ev.Tags(time=author.now(), tags={"odd": "1"}))]
    envelopes += [author.metrics("loss", [1.0]), author.finish()]
    envelopes.append(author.envelope(ev.ProducerClosed(time=author.now(), batches=5, points=1)))
    await write(setup.kafka, setup.topic, envelopes)
    await until_folded(setup.database, setup.topic, 5)
    (letter,) = setup.facts("list")["dead_letters"]
    assert (letter["kind"], letter["run"]) == ("BadEvent", "r1")
    assert "PostgreSQL refuses its rows" in letter["reason"]
    assert await setup.completeness("r1") == [(4, [(1, 2)], 0)]

    await setup.execute("ALTER TABLE tags DROP CONSTRAINT odd")
    first = setup.facts("replay", letter["id"])
    async with reading(setup.database) as store:
        await until_complete(store, ["r1"])
    again = setup.facts("replay", letter["id"])
    await setup.write([encode(envelopes[1])])  # left by a replay that was killed before it was recorded
    await until_folded(setup.database, setup.topic, 7)

    assert first == {"dry_run": False, "replayed": [letter["id"]], "skipped": []}
    assert again["replayed"] == []
    assert [one["result"] for one in again["skipped"]] == ["already"]
    assert await setup.completeness("r1") == [(5, [], 1)]
    assert setup.facts("list")["total"] == 0
    assert [one["state"] for one in setup.facts("list", "--state", "all")["dead_letters"]] == ["replayed"]
    assert setup.facts("discard", letter["id"], status=1)["discarded"] == []


async def test_what_this_release_cannot_fold_is_replayed_only_on_demand_and_parked_again(
    setup: Setup, worker: Materialiser
) -> None:
    ids = await parked(setup, bad_records(count=2))

    refused = setup.facts("replay", "--all", "--yes", status=1)
    planned = setup.facts("replay", "--all", "--anyway", "--dry-run")
    assert setup.facts("list")["total"] == 2
    done = setup.facts("replay", "--all", "--anyway", "--yes")
    await until_letters(setup, 4)

    assert [one["id"] for one in refused["skipped"]] == ids
    assert all("parked again" in one["why"] for one in refused["skipped"])
    assert planned == {"dry_run": True, "replayed": ids, "skipped": []}
    assert done == {"dry_run": False, "replayed": ids, "skipped": []}
    assert setup.facts("list", "--state", "replayed")["total"] == 2
    assert setup.facts("list")["total"] == 2


async def test_letters_are_found_by_run_and_reason_and_discarded_with_a_reason_once(
    setup: Setup, worker: Materialiser
) -> None:
    first = await parked(setup, bad_records("one", 2))
    second = await parked(setup, [one._replace(headers=[]) for one in bad_records("two", 2)])

    assert {one["id"] for one in setup.facts("list", "--run", "one")["dead_letters"]} == set(first)
    assert {one["id"] for one in setup.facts("list", "--reason", "NO HEADER")["dead_letters"]} == set(second)
    assert setup.facts("list", "--limit", "1")["total"] == 4
    assert setup.facts("discard", "--run", "two", "--dry-run")["discarded"] == second
    assert "confirmation is needed, and stdin is not a terminal: add --yes" in setup.command("discard", "--all").stderr
    assert setup.facts("discard", "--run", "two", "--because", "a [red]test", "--yes")["discarded"] == second
    again = setup.facts("discard", *second)
    assert [one["result"] for one in again["skipped"]] == ["already", "already"]
    assert {one["id"] for one in setup.facts("list")["dead_letters"]} == set(first)
    (one, *_) = setup.facts("list", "--state", "discarded")["dead_letters"]
    assert one["because"] == "a [red]test"
    assert setup.facts("discard", f"{setup.topic}:0:999999", status=1)["skipped"][0]["why"] == "nothing is parked there"


async def test_hostile_bytes_reach_no_terminal_and_are_kept_whole(setup: Setup, worker: Materialiser) -> None:
    good = encode(Author("r1").start())
    headers = [(n, b"\x1b[31m[bold]" if n == "ce_type" else v) for n, v in good.headers]
    (letter,) = await parked(setup, [good._replace(key=HOSTILE[:20], value=HOSTILE * 9, headers=headers)])

    listed, shown = setup.command("list"), setup.command("show", letter)
    document = setup.facts("show", letter)

    assert "".join((listed.stdout + shown.stdout).split("\n")).isprintable()
    assert listed.stdout.splitlines()[1].startswith(letter)
    assert "[red]\\x1b[2J" in listed.stdout
    assert "00000000  5b 72 65 64 5d 1b" in shown.stdout
    assert base64.b64decode(document["value"]["base64"]) == HOSTILE * 9
    assert document["value"]["text"] is None
    assert setup.raw(letter) == HOSTILE * 9
    assert {one["name"] for one in document["headers"]} == {name for name, _ in headers}


async def test_the_api_counts_undecided_letters_and_names_the_newest(setup: Setup, worker: Materialiser) -> None:
    from consumers.store.dead_letters import newest_dead_letter
    from consumers.store.pool import open_database

    old, new = [(await parked(setup, [one]))[0] for one in bad_records(count=2)]
    db = await open_database(setup.database)
    try:
        before = await newest_dead_letter(db)
        setup.facts("discard", new)
        after = await newest_dead_letter(db)
        setup.facts("discard", old)
        nothing = await newest_dead_letter(db)
    finally:
        await db.close()

    assert (before[0], after[0], nothing) == (2, 1, (0, None))
    assert before[1] is not None
    assert (before[1].id, before[1].run, before[1].kind) == (new, "r1", "NotAnEvent")
    assert after[1] is not None
    assert after[1].id == old


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("replay",), "no choice is given: give ids from `gateway dead-letters list`"),
        (("discard", "--all", "a:1:2"), "ids cannot be combined with"),
        (("show", "nonsense"), "is not an id: copy TOPIC:PARTITION:OFFSET"),
        (("show", "a:1:2"), "nothing is parked at a:1:2"),
    ],
)
async def test_a_wrong_question_gets_one_line_that_says_what_to_do(
    setup: Setup, worker: Materialiser, arguments: tuple[str, ...], message: str
) -> None:
    done = setup.command(*arguments)

    assert done.returncode == 2
    assert done.stderr.startswith("gateway: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
