"""The materialiser on a real broker and a real PostgreSQL: killed, sent duplicates and bad records, then counted."""

from __future__ import annotations

import math
import random
import signal
from pathlib import Path

import asyncpg
import pytest

from schemas import events as ev
from schemas.facts import Facts, Point
from schemas.runlog import RunLog
from schemas.values import FloatValue, StringValue
from schemas.wire import Envelope, encode
from tests.support.log_author import Author, write, write_records
from tests.support.materialiser_process import Materialiser, dump, environment, materialiser, reading, until_folded


def training(run_id: str, *, points: int = 2_500, nan_at: int = 100) -> list[Envelope]:
    """Return a run: start, params, two series over several chunks, a string, end."""
    author = Author(run_id)
    values = [1 / (i + 1) for i in range(points)]
    values[nan_at] = math.nan
    values[nan_at + 1] = -math.inf
    envelopes = [
        author.start(name="a run", tag="digits", group="sweep"),
        author.envelope(
            ev.Params(time=author.now(), params={"lr": FloatValue(value=0.1), "opt": StringValue(value="adam")})
        ),
        author.envelope(ev.Tags(time=author.now(), tags={"who": "ada"})),
    ]
    for first in range(0, points, 70):
        envelopes.append(author.metrics("loss", values[first : first + 70], first_step=first))
        envelopes.append(author.metrics("accuracy", [first / points], first_step=first // 70))
    text = ev.Observation(name="spam", step=0, time=author.now(), value=StringValue(value="hello"))
    envelopes.append(author.envelope(ev.Values(time=author.now(), values=[text])))
    envelopes.append(author.finish())
    envelopes.append(author.envelope(ev.ProducerClosed(time=author.now(), batches=author.seq + 1, points=points)))
    return envelopes


def facts_of(envelopes: list[Envelope]) -> Facts:
    """Return what was emitted, counted from the envelopes."""
    facts = Facts(runs=len({envelope.run_id for envelope in envelopes}))
    for envelope in envelopes:
        if isinstance(envelope.event, ev.Params):
            facts.params += len(envelope.event.params)
        if isinstance(envelope.event, ev.Points):
            for series in envelope.event.series:
                for step, time, value in zip(series.steps, series.times, series.values, strict=True):
                    facts.add_point(envelope.run_id, Point(series.name, step, time // 1_000, value))
    return facts


async def stored_facts(database: str) -> Facts:
    """Return the same counts from PostgreSQL."""
    facts = Facts()
    async with reading(database) as store:
        for run_id in await store.run_ids():
            points = [point async for point in store.points(run_id)]
            facts.add_run(run_id, points, len(await store.params(run_id)))
    return facts


async def run_log(database: str, run_id: str) -> RunLog:
    async with reading(database) as store:
        found = await store.run_log(run_id)
    assert found is not None
    return found


async def test_a_run_is_stored_completely_and_read_back_as_a_run_log(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    envelopes = training("r1")
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await write(kafka, topic, envelopes)
        await until_folded(database, topic, len(envelopes))

    log = await run_log(database, "r1")

    assert await stored_facts(database) == facts_of(envelopes)
    assert log.status == "SUCCESS"
    assert log.parameters == {"lr": 0.1, "opt": "adam"}
    metrics = log.steps["main"].user_defined_metrics
    assert metrics["spam"] == "hello"
    assert len(metrics["loss"]) == 2_500
    assert (metrics["loss"]["0"], metrics["loss"]["100"], metrics["loss"]["101"]) == (1.0, "NaN", "-Infinity")
    assert [(one.received, one.expected, one.missing) for one in log.completeness] == [
        (len(envelopes), len(envelopes), [])
    ]


async def test_sigkill_at_random_moments_loses_nothing_and_stores_nothing_twice(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    envelopes = [envelope for number in range(6) for envelope in training(f"run-{number}", points=1_500)]
    variables = environment(kafka, topic, database, batch_records="20")
    dice = random.Random(20261121)
    await write(kafka, topic, envelopes)
    for _ in range(4):
        one = Materialiser(tmp_path, variables).until_ready()
        await until_folded(database, topic, dice.randrange(1, len(envelopes) // 2))
        one.kill()
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, len(envelopes))

    assert await stored_facts(database) == facts_of(envelopes)
    async with reading(database) as store:
        logs = [await store.run_log(run_id) for run_id in await store.run_ids()]
    assert {one.refused_duplicates for log in logs if log for one in log.completeness} == {0}


async def test_folding_the_log_again_from_offset_0_gives_the_same_rows(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    envelopes = [envelope for number in range(3) for envelope in training(f"run-{number}")]
    await write(kafka, topic, envelopes)
    with materialiser(tmp_path, environment(kafka, topic, database, batch_records="7")) as one:
        await until_folded(database, topic, 40)
        one.kill()
    with materialiser(tmp_path, environment(kafka, topic, database, batch_records="50")):
        await until_folded(database, topic, len(envelopes))
    first = await dump(database)
    connection = await asyncpg.connect(database)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await until_folded(database, topic, len(envelopes))

    again = await dump(database)

    assert first["chunks"]
    assert again == first


async def test_records_sent_twice_and_late_are_applied_once(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    envelopes = training("r1", points=700)
    late = envelopes.pop(5)
    resent = [*envelopes[:9], *envelopes[4:12], *envelopes[12:], late, late]
    with materialiser(tmp_path, environment(kafka, topic, database)):
        await write(kafka, topic, resent)
        await until_folded(database, topic, len(resent))

    log = await run_log(database, "r1")

    assert await stored_facts(database) == facts_of([*envelopes, late])
    assert [(one.missing, one.refused_duplicates) for one in log.completeness] == [([], 6)]


async def test_records_that_are_not_events_are_parked_with_their_bytes_and_stop_nothing(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    envelopes = training("r1", points=140)
    good = [encode(envelope) for envelope in envelopes]
    broken = [
        good[3]._replace(value=b'{"kind": "metrics", "trunc'),
        good[3]._replace(headers=[]),
        good[3]._replace(headers=[(n, b"2" if n == "schema" else v) for n, v in good[3].headers]),
        good[3]._replace(key=b"another run"),
        good[3]._replace(value=good[3].value.replace(b'"loss"', b'"lo\\u0000ss"')),
        good[3]._replace(value=b""),
    ]
    with materialiser(tmp_path, environment(kafka, topic, database)) as one:
        await write_records(kafka, topic, [*good[:3], *broken, *good[3:]])
        await until_folded(database, topic, len(good) + len(broken))
        assert one.process.poll() is None

    connection = await asyncpg.connect(database)
    letters = await connection.fetch("SELECT * FROM dead_letters ORDER BY log_offset, partition")
    await connection.close()

    assert await stored_facts(database) == facts_of(envelopes)
    kinds = sorted(letter["kind"] for letter in letters)
    assert kinds == ["BadEvent", "NotAnEvent", "NotAnEvent", "NotAnEvent", "NotAnEvent", "UnknownVersion"]
    assert sorted(letter["record_value"] for letter in letters) == sorted(record.value for record in broken)
    assert all(letter["reason"] for letter in letters)


async def test_a_store_that_cuts_every_connection_again_and_again_costs_nothing_but_time(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    envelopes = [envelope for number in range(4) for envelope in training(f"run-{number}", points=1_500)]
    await write(kafka, topic, envelopes)
    connection = await asyncpg.connect(database)
    with materialiser(tmp_path, environment(kafka, topic, database, batch_records="5")) as one:
        for records in range(20, 160, 20):
            await until_folded(database, topic, records)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await until_folded(database, topic, len(envelopes))
        assert one.process.poll() is None
    await connection.close()

    assert await stored_facts(database) == facts_of(envelopes)


async def test_a_worker_whose_offset_was_moved_by_another_writes_nothing(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    """A zombie is fenced: it was paused, and another worker took over the same partitions."""
    envelopes = training("r1", points=700)
    variables = environment(kafka, topic, database, session_timeout_ms="3000")
    with materialiser(tmp_path, variables) as zombie:
        await write(kafka, topic, envelopes[:9])
        await until_folded(database, topic, 9)
        zombie.process.send_signal(signal.SIGSTOP)
        await write(kafka, topic, envelopes[9:])
        with materialiser(tmp_path, variables | {"GATEWAY_WORKER": "1"}):
            await until_folded(database, topic, len(envelopes))
            zombie.process.send_signal(signal.SIGCONT)
            await write(kafka, topic, training("r2", points=700))
            await until_folded(database, topic, 2 * len(envelopes))

    assert await stored_facts(database) == facts_of([*envelopes, *training("r2", points=700)])


async def test_sigterm_ends_it_within_seconds_and_the_next_start_continues(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    envelopes = training("r1")
    variables = environment(kafka, topic, database)
    with materialiser(tmp_path, variables) as one:
        await write(kafka, topic, envelopes[:20])
        await until_folded(database, topic, 20)
        status = one.kill(signal.SIGTERM)
    await write(kafka, topic, envelopes[20:])
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, len(envelopes))

    assert status == 0
    assert await stored_facts(database) == facts_of(envelopes)


async def test_it_leaves_nothing_where_it_is_started(kafka: str, topic: str, database: str, tmp_path: Path) -> None:
    cwd = tmp_path / "started here"
    cwd.mkdir()
    envelopes = training("r1", points=200)
    await write(kafka, topic, envelopes)
    one = Materialiser(tmp_path, environment(kafka, topic, database), cwd=cwd)
    try:
        await until_folded(database, topic, len(envelopes))
    finally:
        one.kill()  # SIGKILL: it cannot clean up anything

    assert list(cwd.rglob("*")) == []


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("postgres", "postgresql://gateway:wrong@{server}", "password"),
        ("postgres", "mysql://x", "GATEWAY_POSTGRES is not a PostgreSQL address"),
        ("partitions", "many", "setting partitions does not fit"),
        ("colour", "blue", "unknown setting GATEWAY_COLOUR"),
    ],
)
def test_a_wrong_setting_ends_it_with_one_line_that_says_what_to_do(
    kafka: str, topic: str, database: str, tmp_path: Path, setting: str, value: str, message: str
) -> None:
    server = database.split("@", 1)[1]
    variables = environment(kafka, topic, database) | {f"GATEWAY_{setting.upper()}": value.format(server=server)}

    one = Materialiser(tmp_path, variables)
    status = one.process.wait(150)

    assert status == 78, one.text()
    last = one.text().splitlines()[-1]
    assert last.startswith("gateway: materialiser: ")
    assert message in last
