"""The worker dies at every point that could leave partial work, again and again, and leaves none."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.wire import EncodedRecord, encode
from tests.faults import crashing_worker
from tests.faults.conservation_check import prove, read_model
from tests.faults.crashing_worker import ASSIGNED, DURING_DEAD_LETTERS, REBALANCING, REVOKED, VARIABLE, WRITING
from tests.support import services
from tests.support.log_author import Author, write_records
from tests.support.materialiser_process import Materialiser, dump, environment, materialiser, until_folded

ENTRY = (crashing_worker.__file__,)
PARTITIONS = 2  # those of the fixture `topic`
SEED = 20261121
DEATH_S = 150.0


def records(dice: random.Random) -> list[EncodedRecord]:
    """Return several runs, interleaved, with duplicates and records that are no events."""
    authors = [Author(f"run-{number}") for number in range(4)]
    found = [encode(author.start()) for author in authors]
    for step in range(250):
        found.append(
            encode(dice.choice(authors).metrics("loss", [dice.random()] * dice.choice((1, 70)), first_step=step))
        )
        if dice.random() < 0.15:
            found.append(found[-1]._replace(value=b"no event"))
        if dice.random() < 0.15:
            found.append(dice.choice(found[-10:]))
    return found + [encode(author.finish()) for author in authors]


def crash(folder: Path, variables: dict[str, str], point: str, times: int) -> None:
    """Run a worker until it dies at its point."""
    one = Materialiser(folder, {**variables, VARIABLE: f"{point}:{times}"}, ENTRY)
    try:
        status = one.process.wait(DEATH_S)
    finally:
        one.kill()
    assert (status, f"killed at {point}" in one.text()) == (-signal.SIGKILL, True), one.text()


async def check(kafka: str, topic: str, database: str, again: str, folder: Path) -> None:
    """Check that the conservation law holds and that folding the log again gives the same rows."""
    model = await read_model(kafka, topic, PARTITIONS)
    balance = await prove(database, topic, model)
    assert balance.received == balance.stored + balance.deduplicated + balance.parked == model.received
    assert balance.parked > 20
    assert balance.deduplicated > 20
    with materialiser(folder, environment(kafka, topic, again)):
        await until_folded(again, topic, model.received)
    assert await dump(database) == await dump(again)


@pytest.fixture
def another_database(postgres_server: str) -> Iterator[str]:
    dsn = services.run(services.create_database(postgres_server))
    yield dsn
    services.run(services.drop_database(postgres_server, dsn))


@pytest.mark.parametrize(
    "rounds", [1, pytest.param(6, marks=[pytest.mark.slow, pytest.mark.timeout(900)])], ids=["once", "again-and-again"]
)
async def test_killed_at_each_point_of_a_transaction_it_stores_each_record_once(
    kafka: str, topic: str, database: str, another_database: str, tmp_path: Path, rounds: int
) -> None:
    dice = random.Random(SEED + rounds)
    sent = [record for _ in range(rounds) for record in records(dice)]
    await write_records(kafka, topic, sent)
    variables = environment(kafka, topic, database, batch_records="5")
    for point in dice.sample(WRITING * rounds, rounds * len(WRITING)):
        crash(tmp_path, variables, point, 1 if point == DURING_DEAD_LETTERS else dice.randrange(1, 4))
    with materialiser(tmp_path, variables):
        await until_folded(database, topic, len(sent))

    await check(kafka, topic, database, another_database, tmp_path)


@pytest.mark.parametrize("point", [REVOKED, ASSIGNED])
async def test_killed_in_the_middle_of_a_rebalance_it_stores_each_record_once(
    kafka: str, topic: str, database: str, another_database: str, tmp_path: Path, point: str
) -> None:
    assert point in REBALANCING
    dice = random.Random(SEED)
    sent = records(dice)
    variables = environment(kafka, topic, database, batch_records="5", session_timeout_ms="3000")
    await write_records(kafka, topic, sent[:100])
    # It passes its first assignment; the second is the rebalance after the other worker has joined.
    victim = Materialiser(tmp_path, {**variables, VARIABLE: f"{point}:2"}, ENTRY)
    try:
        victim.until_ready()
        await until_folded(database, topic, 20)
        with materialiser(tmp_path, {**variables, "GATEWAY_WORKER": "1"}):
            status = victim.process.wait(DEATH_S)
            await write_records(kafka, topic, sent[100:])
            with materialiser(tmp_path, variables):
                await until_folded(database, topic, len(sent))
    finally:
        victim.kill()

    assert (status, f"killed at {point}" in victim.text()) == (-signal.SIGKILL, True), victim.text()
    await check(kafka, topic, database, another_database, tmp_path)


@pytest.mark.parametrize("wanted", ["before-copi:1", "before-copy", "before-copy:0", "before-copy:x"])
def test_a_point_that_is_none_is_refused_by_name(wanted: str) -> None:
    done = subprocess.run(
        [sys.executable, *ENTRY], env={VARIABLE: wanted}, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 1
    assert f"CRASH_AT={wanted} is no point" in done.stderr
    assert "before-copy, during-copy" in done.stderr
