"""The embedded stack serves, survives and ends: each promise is tested by breaking something."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from gateway.local.home import SUPERVISOR
from gateway.local.ports import HOST
from gateway.local.servers import kafka as kafka_service
from gateway.local.servers import mlflow_server
from gateway.local.stack import Stack
from tests.support import probe_client, services
from tests.support.process_tree import DEADLINE_S, kill_all, processes_of, until
from tests.support.server_data import fill_home

SERVICES = ("mlflow", "postgres", "kafka")
STORES = ("postgres", "kafka")


async def write(stack: Stack, topic: str, value: bytes) -> None:
    """Write one record to Kafka and one row to PostgreSQL."""
    where = stack.addresses()
    await services.create_topic(where.kafka, topic, partitions=1)
    async with AIOKafkaProducer(bootstrap_servers=where.kafka, acks="all") as producer:
        await producer.send_and_wait(topic, value, partition=0)
    connection = await asyncpg.connect(where.postgres)
    await connection.execute(
        f'CREATE TABLE "{topic}" AS SELECT $1::bytea AS value'.replace("$1", f"'{value.decode()}'")
    )
    await connection.close()


async def read(stack: Stack, topic: str) -> tuple[bytes, bytes]:
    """Read the record and the row back."""
    where = stack.addresses()
    async with AIOKafkaConsumer(bootstrap_servers=where.kafka) as consumer:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek(place, 0)
        record = await consumer.getone()
    connection = await asyncpg.connect(where.postgres)
    row = await connection.fetchval(f'SELECT value FROM "{topic}"')
    await connection.close()
    return record.value, row


@pytest.fixture(scope="module")
def stack_home(session_folder: Path) -> Iterator[Path]:
    """The home of the stack whose services the tests of this file kill."""
    yield from filled_home(session_folder / "stack")


@pytest.fixture(scope="module")
def stores_home(session_folder: Path) -> Iterator[Path]:
    """The home of the stack that the tests of this file end as a whole; without MLflow, which takes 3 s to start."""
    yield from filled_home(session_folder / "stores")


def filled_home(home: Path) -> Iterator[Path]:
    fill_home(home)
    yield home
    Stack(home).down()
    assert processes_of(home) == []


@pytest.fixture
def stack(stack_home: Path) -> Stack:
    """A running stack."""
    found = Stack(stack_home)
    found.up(services=SERVICES)
    return found


@pytest.fixture
def stores(stores_home: Path) -> Stack:
    """A running stack of Kafka and PostgreSQL."""
    found = Stack(stores_home)
    found.up(services=STORES)
    return found


@pytest.fixture
def other_home(session_folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A home for one test."""
    home = session_folder / f"home-{abs(hash(request.node.name))}"
    fill_home(home)
    yield home
    Stack(home).down()
    kill_all(home)


def test_it_serves_kafka_postgresql_and_mlflow(stack: Stack, stack_home: Path) -> None:
    status = stack.status()
    kafka_service.probe(stack.addresses().kafka)
    database = services.run(_database_name(stack.addresses().postgres))
    port = int(stack.addresses().mlflow.rpartition(":")[2])

    assert {name: service["state"] for name, service in status["services"].items()} == dict.fromkeys(SERVICES, "ready")
    assert database == "gateway"
    assert mlflow_server.serves(HOST, port)
    assert (stack_home / "mlflow" / "mlflow.db").exists()


async def _database_name(dsn: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT current_database()")
    finally:
        await connection.close()


def test_postgresql_requires_the_password(stack: Stack) -> None:
    wrong = stack.addresses().postgres.replace("@", "x@")

    with pytest.raises(asyncpg.InvalidPasswordError):
        services.run(_database_name(wrong))


def test_secrets_are_readable_by_their_owner_only(stack: Stack, stack_home: Path) -> None:
    del stack
    modes = [stat.S_IMODE((stack_home / name).stat().st_mode) for name in ("stack.json", "postgres/password")]

    assert modes == [0o600, 0o600]


def test_a_second_up_finds_it_running(stack: Stack, stack_home: Path) -> None:
    before = {name: service["pid"] for name, service in stack.status()["services"].items()}
    Stack(stack_home).up()

    assert {name: service["pid"] for name, service in stack.status()["services"].items()} == before


@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_is_restarted(stack: Stack, name: str) -> None:
    before = stack.status()["services"][name]
    os.kill(before["pid"], signal.SIGKILL)
    until(lambda: stack.status()["services"][name]["restarts"] > before["restarts"], "a restart is counted")
    until(lambda: stack.status()["services"][name]["state"] == "ready", "it is ready again")

    assert stack.status()["services"][name]["pid"] != before["pid"]


def test_the_supervisor_counts_deaths_and_names_what_is_not_ready(stack: Stack) -> None:
    port = urlsplit(stack.status()["supervisor"]["metrics"]).port or 0
    until(lambda: probe_client.status(port, "/readyz") == 200, "everything serves")
    before = probe_client.metrics(port)
    part = stack.status()["services"]["mlflow"]  # it takes seconds to be ready again
    os.kill(part["pid"], signal.SIGKILL)
    until(lambda: probe_client.metrics(port)['gateway_service_ready{service="mlflow"}'] == 0, "the death is noticed")
    reason, alive = probe_client.failure_reason(port, "/readyz"), probe_client.status(port, "/healthz")
    until(lambda: probe_client.status(port, "/readyz") == 200, "everything serves again")
    after = probe_client.metrics(port)

    def grown(name: str) -> float:
        return after[f'{name}{{service="mlflow"}}'] - before[f'{name}{{service="mlflow"}}']

    assert alive == 200
    assert "mlflow" in reason
    assert (grown("gateway_service_deaths_total"), grown("gateway_service_restarts_total")) == (1, 1)
    assert {key for key in after if key.startswith("gateway_service_ready")} == {
        f'gateway_service_ready{{service="{name}"}}' for name in SERVICES
    }
    assert probe_client.total(after, "gateway_service_given_up") == 0
    assert 'gateway_process_info{process="supervisor"' in str(after)


def test_when_the_supervisor_is_killed_its_children_end(stores: Stack, stores_home: Path) -> None:
    os.kill(stores.home.read()["processes"][SUPERVISOR]["pid"], signal.SIGKILL)
    if sys.platform != "linux":  # no other kernel signals the children; the next command ends them
        stores.down()

    until(lambda: processes_of(stores_home) == [], "every process ends")
    assert not stores.status()["running"]


def test_a_stuck_supervisor_does_not_block_down(other_home: Path) -> None:
    stack = Stack(other_home)
    stack.up(services=["postgres"])
    os.kill(stack.home.read()["processes"][SUPERVISOR]["pid"], signal.SIGSTOP)
    ended = stack.down(timeout_s=0.5)

    assert ended
    assert processes_of(other_home) == []


async def test_after_a_sigkill_of_everything_it_recovers_with_all_data(stores: Stack, stores_home: Path) -> None:
    await write(stores, "killed", b"kept")
    kill_all(stores_home)
    stores.up(services=STORES)

    assert await read(stores, "killed") == (b"kept", b"kept")


async def test_down_leaves_no_process_and_keeps_the_data_and_ports(stores: Stack, stores_home: Path) -> None:
    await write(stores, "stopped", b"kept")
    before = stores.addresses()
    ended = stores.down()
    left = processes_of(stores_home)
    again = stores.down()
    after = stores.up(services=STORES)

    assert (ended, left, again) == (True, [], False)
    assert after == before
    assert await read(stores, "stopped") == (b"kept", b"kept")


def test_two_stacks_run_side_by_side(stores: Stack, other_home: Path) -> None:
    other = Stack(other_home).up(services=STORES)
    kafka_service.probe(other.kafka)
    kafka_service.probe(stores.addresses().kafka)
    theirs = Stack(other_home).home.read()["ports"]

    assert not set(theirs.values()) & set(stores.home.read()["ports"].values())


async def test_a_home_may_have_any_name(session_folder: Path) -> None:
    home = session_folder / "a home%20é?#:x"
    stack = Stack(home)
    stack.up(services=SERVICES)
    await write(stack, "named", b"kept")
    stack.down()
    stack.up(services=STORES)
    found = await read(stack, "named")
    stack.down()

    assert found == (b"kept", b"kept")
    assert (home / "mlflow" / "mlflow.db").exists()
    assert (home / "kafka" / "data" / "named-0").exists()
    assert [path.name for path in session_folder.glob("a home*")] == [home.name]


def test_two_ups_at_once_start_one_stack(other_home: Path) -> None:
    program = (
        "import sys; from gateway.local.stack import Stack;print(Stack(sys.argv[1]).up(services=['postgres']).postgres)"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program, str(other_home)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = [process.communicate(timeout=DEADLINE_S)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert found[0] == found[1] != ""


def test_the_stack_ends_when_its_owner_is_killed(other_home: Path) -> None:
    program = (
        "import sys; from gateway.local.stack import Stack;"
        "Stack(sys.argv[1]).up(services=['postgres'], owner=True); print('up', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(other_home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout
    assert owner.stdin
    output = owner.stdout.readline()
    owner.kill()
    owner.communicate()

    assert output == "up\n"
    until(lambda: processes_of(other_home) == [], "the stack follows its owner")


def test_an_owner_may_leave_the_stack_running(other_home: Path) -> None:
    owner = Stack(other_home)
    owner.up(services=["postgres"], owner=True)
    owner.keep()

    # The pipe is closed by now; a supervisor that mistook that for the owner's end would be stopping.
    os.kill(owner.status()["services"]["postgres"]["pid"], signal.SIGKILL)
    until(lambda: owner.status()["services"]["postgres"]["restarts"] == 1, "it still watches")
    assert owner.status()["running"]


def test_an_interrupted_up_leaves_nothing(other_home: Path) -> None:
    command = [sys.executable, "-m", "gateway.cli", "up", "--home", str(other_home)]
    starting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: len(processes_of(other_home)) > 2, "something was started")
    starting.send_signal(signal.SIGINT)
    _, output = starting.communicate(timeout=DEADLINE_S)

    assert starting.returncode == 130
    assert output.splitlines()[-1] == "gateway: interrupted"
    assert "Traceback" not in output
    assert processes_of(other_home) == []
