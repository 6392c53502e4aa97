"""Real Kafka and PostgreSQL servers for tests: each runs on free ports in its own folder until the block ends."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

from consumers.store.migrations import migrate
from consumers.store.pool import open_database
from gateway.local.ports import HOST, free_ports
from gateway.local.servers import kafka, postgres
from gateway.local.supervision.process import end, spawn, wait_until
from schemas.errors import LogUnavailable
from tests.support.server_data import prepare_kafka, prepare_postgres

T = TypeVar("T")
START_TIMEOUT_S = 150
MIGRATED = "migrated"  # the template of databases


@contextmanager
def running_kafka(folder: Path) -> Iterator[str]:
    """Yield the bootstrap address of a broker that runs until the block ends."""
    port, controller_port = free_ports(2)
    address = f"{HOST}:{port}"
    command = prepare_kafka(folder, port=port, controller_port=controller_port)
    with (folder / "kafka.log").open("ab") as log:
        child = spawn(command, log)
        try:
            assert wait_until(lambda: answers(address), child, START_TIMEOUT_S), (folder / "kafka.log").read_text()
            yield address
        finally:
            # SIGKILL, because an orderly stop takes more than 10 s with the topics of a thousand tests.
            end(child, timeout_s=10, stop_signal=signal.SIGKILL)


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """Yield the address, with role and password, of a server that runs until the block ends."""
    (port,) = free_ports(1)
    command = prepare_postgres(folder, port=port)
    with (folder / "postgres.log").open("ab") as log:
        child = spawn(command, log, death_signal=signal.SIGQUIT)
        try:
            ready = wait_until(lambda: postgres.accepts(port), child, START_TIMEOUT_S)
            assert ready, (folder / "postgres.log").read_text()
            yield postgres.dsn(folder, port)
        finally:
            end(child, timeout_s=10, stop_signal=signal.SIGQUIT)


def answers(bootstrap: str) -> bool:
    """Return whether a broker serves at this address now."""
    try:
        kafka.probe(bootstrap)
    except LogUnavailable:
        return False
    return True


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from a synchronous fixture, in an event loop of its own thread."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread of the fixture
            errors.append(error)

    thread = Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


async def create_topic(bootstrap: str, name: str, partitions: int, **configs: str) -> None:
    """Create a topic and return when each partition has a leader. Settings have _ in place of a dot."""
    named = {key.replace("_", "."): value for key, value in configs.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=named)])
        async with asyncio.timeout(60):
            while not await _all_led(admin, name, partitions):  # noqa: ASYNC110 - Kafka sends no event for this
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


async def add_partitions(bootstrap: str, name: str, partitions: int) -> None:
    """Let a topic grow and return when each partition has a leader."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_partitions({name: NewPartitions(partitions)})
        async with asyncio.timeout(60):
            while not await _all_led(admin, name, partitions):  # noqa: ASYNC110 - Kafka sends no event for this
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


async def _all_led(admin: AIOKafkaAdminClient, name: str, partitions: int) -> bool:
    (topic,) = await admin.describe_topics([name])
    return [part["leader"] >= 0 for part in topic["partitions"]] == [True] * partitions


async def create_database(admin_dsn: str, *, empty: bool = False) -> str:
    """Create a database with the tables of this release, or without any, and return its address."""
    name = f"test_{uuid.uuid4().hex}"
    if empty:
        await _execute(admin_dsn, f"CREATE DATABASE {name}")
    else:
        try:
            await _execute(admin_dsn, f"CREATE DATABASE {name} TEMPLATE {MIGRATED}")
        except asyncpg.InvalidCatalogNameError:
            await _make_migrated(admin_dsn)
            await _execute(admin_dsn, f"CREATE DATABASE {name} TEMPLATE {MIGRATED}")
    return admin_dsn.rpartition("/")[0] + f"/{name}"


async def _make_migrated(admin_dsn: str) -> None:
    """Make the database that all others are copied from: 0.35 s of a core, and each copy saves it."""
    await _execute(admin_dsn, f"CREATE DATABASE {MIGRATED}")
    opened = await open_database(admin_dsn.rpartition("/")[0] + f"/{MIGRATED}")
    try:
        await migrate(opened)
    finally:
        await opened.close()


async def drop_database(admin_dsn: str, dsn: str) -> None:
    """Drop a database and close its open connections."""
    await _execute(admin_dsn, f"DROP DATABASE {dsn.rpartition('/')[2]} WITH (FORCE)")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
