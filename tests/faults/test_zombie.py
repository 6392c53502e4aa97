"""A worker is stopped beyond its session, another takes its partitions, and the first wakes within its batch."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import psutil
import pytest

from tests.faults import crashing_worker
from tests.faults.conservation_check import prove, read_model
from tests.faults.crashing_worker import AFTER_COMMIT, BEFORE_COMMIT, VARIABLE
from tests.faults.system_under_test import shares
from tests.faults.test_crash_points import PARTITIONS, SEED, records
from tests.support.log_author import write_records
from tests.support.materialiser_process import Materialiser, dump, environment, materialiser, until, until_folded


async def until_said(one: Materialiser, *words: str) -> None:
    async def is_said() -> bool:
        return any(word in one.text() for word in words)

    await until(is_said, f"{words} is said")


async def until_shared(kafka: str, topic: str, workers: int) -> None:
    """Return when this number of workers has partitions."""

    async def is_shared() -> bool:
        return len(await shares(kafka, f"materialiser.{topic}")) == workers

    await until(is_shared, f"{workers} workers share the partitions")


@pytest.mark.parametrize("point", [AFTER_COMMIT, BEFORE_COMMIT])
async def test_a_worker_woken_after_its_session_writes_nothing_then_rejoins_and_works(
    kafka: str, topic: str, database: str, tmp_path: Path, point: str
) -> None:
    first, second = (records(random.Random(SEED + number)) for number in (0, 1))
    variables = environment(kafka, topic, database, batch_records="5", session_timeout_ms="3000")
    await write_records(kafka, topic, first)
    held = {**variables, VARIABLE: f"{point}:3:pause"}
    zombie = Materialiser(tmp_path, held, (crashing_worker.__file__,))
    try:
        await until_said(zombie, f"paused at {point}")
        assert psutil.Process(zombie.process.pid).status() == psutil.STATUS_STOPPED
        with materialiser(tmp_path, {**variables, "GATEWAY_WORKER": "1"}) as other:
            await until_folded(database, topic, len(first))
            before = await dump(database)
            zombie.process.send_signal(signal.SIGCONT)
            # It has read ahead and holds records. It finds that its offsets have moved, and writes none of them.
            await until_said(zombie, "Fenced", "waiting for it", "session timed out")
            status = zombie.process.wait(150) if "Fenced" in zombie.text() else None
            assert await dump(database) == before
            assert status in (None, 70), zombie.text()
            again = Materialiser(tmp_path, variables) if status is not None else zombie  # as its supervisor does
            try:
                await until_shared(kafka, topic, 2)
                other.kill()
                await write_records(kafka, topic, second)
                await until_folded(database, topic, len(first) + len(second))
            finally:
                again.kill()
    finally:
        zombie.kill()

    model = await read_model(kafka, topic, PARTITIONS)
    balance = await prove(database, topic, model)
    assert balance.received == balance.stored + balance.deduplicated + balance.parked == model.received
