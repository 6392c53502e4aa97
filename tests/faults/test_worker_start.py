"""A materialiser that loses Kafka during its start, or later for good, waits for it and continues."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.log_author import Author, write
from tests.support.materialiser_process import Materialiser, environment, until, until_folded
from tests.support.services import create_topic
from tests.support.tcp_proxy import proxy_to

GATED = """
import asyncio, os, pathlib, sys
import consumers.log.topics as log
made = log.ensure_topics
gate = pathlib.Path(os.environ["GATE"])
async def gated(settings):
    await made(settings)
    gate.touch()
    while gate.exists():
        await asyncio.sleep(0.01)
log.ensure_topics = gated
from consumers.materialiser.__main__ import main
main()
"""


@pytest.mark.stack
async def test_kafka_that_goes_away_while_the_worker_starts_is_waited_for(
    session_folder: Path, database: str, tmp_path: Path
) -> None:
    broker = Broker(session_folder / "start")
    gate = tmp_path / "gate"

    async def is_open() -> bool:
        return gate.exists()

    with proxy_to(broker.far_port) as line:
        broker.advertised_port = line.port
        broker.start()
        await create_topic(broker.address, "events", partitions=2)
        author = Author("r1")
        await write(broker.address, "events", [author.start(), author.finish()])
        variables = environment(line.address, "events", database) | {"GATE": str(gate)}
        one = Materialiser(tmp_path, variables, ("-c", GATED))
        try:
            await until(is_open, "the topics are there")
            line.cut()
            gate.unlink()

            async def is_away() -> bool:
                return "waiting for it" in one.text()

            await until(is_away, "Kafka is missed")
            line.heal()
            await until_folded(database, "events", 2)
            assert one.process.poll() is None
        finally:
            one.kill()
            broker.kill()
