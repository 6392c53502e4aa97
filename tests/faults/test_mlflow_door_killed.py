"""The MLflow door, Kafka and PostgreSQL are killed while MLflow's clients log: nothing is lost or there twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.client.query import get, run_path
from tests.faults.mlflow_writer import BATCH
from tests.support.broker import Broker
from tests.support.dialect_stack import DialectStack, dialect_stack
from tests.support.mlflow_calls import create_run, get_run, post
from tests.support.mlflow_door import MlflowDoor, mlflow_door
from tests.support.postgres_server import PostgresServer
from tests.support.process_tree import until

WRITER = Path(__file__).with_name("mlflow_writer.py")
THREADS = 4  # of a client, each with a run of its own
STEPS = 10  # of each run between two kills
# MLflow's client waits 2 s, 4 s, ... between its attempts, which would be most of the time of this test.
PATIENCE = {"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0"}


class System:
    """A door with its log and its database."""

    def __init__(self, broker: Broker, postgres: PostgresServer, stack: DialectStack, door: MlflowDoor) -> None:
        self.broker, self.postgres, self.stack, self.door = broker, postgres, stack, door

    def kill(self, what: str) -> None:
        """Kill a process and start it again."""
        match what:
            case "door":
                self.door.end()
                self.door.start()
            case "Kafka":
                self.broker.kill()
                self.broker.begin()
            case _:
                self.postgres.kill()
                self.postgres.begin()


@pytest.fixture(scope="module")
def system(session_folder: Path) -> Iterator[System]:
    folder = session_folder / "door-killed"
    folder.mkdir()
    broker, postgres = Broker(folder / "kafka"), PostgresServer(folder / "postgres")
    with ExitStack() as ending:
        ending.callback(postgres.kill)
        ending.callback(broker.kill)
        broker.start()
        postgres.start()
        stack = ending.enter_context(dialect_stack(broker.address, postgres.dsn, folder / "stack"))
        yield System(broker, postgres, stack, ending.enter_context(mlflow_door(stack)))


def logged(folder: Path) -> dict[str, int]:
    """How many steps each run has logged with calls that returned."""
    return {path.name: int(path.read_text() or 0) for path in folder.iterdir() if path.name != "stop"}


def until_logged(folder: Path, steps: int, what: str) -> None:
    """Return when the runs have logged this many more steps together."""
    wanted = sum(logged(folder).values()) + steps
    until(lambda: sum(logged(folder).values()) >= wanted, what)


def logged_through(system: System, folder: Path, kills: list[str], processes: int) -> dict[str, int]:
    """Let clients log while processes are killed; return the steps that they logged, by run."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": system.door.url, **PATIENCE}
    argv, runs = [sys.executable, str(WRITER), str(folder), str(THREADS)], processes * THREADS
    clients = [
        subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(processes)
    ]
    try:
        until(lambda: len(logged(folder)) == runs, "each thread has begun")
        for what in kills:
            system.kill(what)
            until_logged(folder, STEPS * runs, f"logging after the end of {what}")
        (folder / "stop").touch()
        for client in clients:
            _, error = client.communicate(timeout=300)
            assert client.returncode == 0, error.decode()[-3_000:]
        return logged(folder)
    finally:
        for client in clients:
            client.kill()
            client.wait()


def check(system: System, steps: dict[str, int]) -> None:
    """Compare what PostgreSQL has with what the calls that returned have logged."""
    for run_id, count in steps.items():
        batches = range(0, count, BATCH)
        run = get_run(system.door.url, run_id)
        assert run["info"]["status"] == "FINISHED"
        assert {one["key"]: one["value"] for one in run["data"]["params"]} == {f"p{n}": str(n) for n in batches}
        (points,) = system.stack.rows("SELECT points FROM runs WHERE run_id = $1", run_id)
        assert points == (count + 3 * len(batches),), f"{run_id} of {count} steps"
        for name, expected in [("loss", range(count)), ("m0", batches)]:
            page = get(system.stack.api, run_path(run_id, "history"), name=name, limit=100_000)
            assert Counter(step for step, _, _ in page["points"]) == Counter(expected)


def test_an_answered_call_is_never_lost_and_a_repeated_one_never_there_twice(system: System, tmp_path: Path) -> None:
    check(system, logged_through(system, tmp_path, ["door", "PostgreSQL", "Kafka"], processes=1))


@pytest.mark.slow
def test_twelve_kills_under_the_load_of_several_processes(system: System, tmp_path: Path) -> None:
    kills = ["door", "Kafka", "PostgreSQL"] * 4
    random.Random(13).shuffle(kills)
    check(system, logged_through(system, tmp_path, kills, processes=3))


def test_a_call_that_was_in_the_log_before_the_door_died_is_there_once(system: System) -> None:
    """The client repeats it, because it had no answer."""
    door = system.door
    run_id = create_run(door.url)
    fields = {"run_id": run_id, "metrics": [{"key": "m", "value": n, "timestamp": 1_000 + n} for n in range(3)]}
    post(door.url, "/runs/log-batch", **fields)
    get_run(door.url, run_id)
    system.kill("door")
    door.until("/version")
    post(door.url, "/runs/log-batch", **fields)
    post(door.url, "/runs/log-batch", **fields)
    post(door.url, "/runs/log-metric", run_id=run_id, key="m", value=3, timestamp=1_003)
    assert len(get_run(door.url, run_id)["data"]["metrics"]) == 1
    assert system.stack.rows("SELECT points FROM runs WHERE run_id = $1", run_id) == [(4,)]
