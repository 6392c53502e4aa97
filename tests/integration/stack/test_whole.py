"""The whole stack through the command line: runs are listed, shown and followed, and survive kills."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from gateway.local.home import Home
from gateway.local.stack import Stack
from gateway.local.supervision.orphans import find_orphans
from tests.support import probe_client
from tests.support.process_tree import until

DEADLINE_S = 240
ALL = {
    "mlflow", "postgres", "kafka", "materialiser", "live", "ingest", "mlflow-door", "alerts", "delivery-mlflow",
    "delivery-wandb",
}  # fmt: skip
VENDORS = {"mlflow", "postgres", "kafka"}
TRAIN = """
import sys, gateway
with gateway.start_run(run_id=sys.argv[1], params={"lr": 0.1}, tags={"kind": "test"}):
    for step in range(500):
        gateway.emit("loss", 1 / (step + 1), step=step)
    print("half", flush=True)
    sys.stdin.readline()
    gateway.emit("accuracy", 0.75, step=500)
"""


@pytest.fixture
def stack_home(whole_stack: Stack) -> Path:
    """The home of a stack with every service."""
    return whole_stack.home.folder


def gateway(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    command = [sys.executable, "-m", "gateway.cli", *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def facts(home: Path, *arguments: str) -> Any:
    """Return what a command prints with --json."""
    done = gateway(home, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def training(home: Path, run: str) -> Iterator[subprocess.Popen[str]]:
    """Give a training process that has emitted half of its events; it continues when a line is written to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, run],
        env={"GATEWAY_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "half\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def train(home: Path, run: str) -> None:
    """Train to the end, and wait until the run log shows it."""
    with training(home, run) as process:
        process.communicate("\n", timeout=DEADLINE_S)
        assert process.returncode == 0
    until(lambda: state(home, run) == "finished", f"{run} is folded")


def state(home: Path, run: str) -> str:
    listed = facts(home, "runs", "list")["runs"]
    return next((one["state"] for one in listed if one["run_id"] == run), "")


def states(home: Path) -> dict[str, str]:
    """Return the state of each process. One that does not answer at once, as on a busy machine, is not ready."""
    return {name: service["state"] for name, service in facts(home, "status")["services"].items()}


def is_ready(port: int) -> bool:
    return probe_client.status(port, "/readyz") == 200


def test_status_shows_every_process_and_every_consumer(stack_home: Path) -> None:
    until(lambda: states(stack_home) == dict.fromkeys(ALL, "ready"), "every process is ready")
    status = facts(stack_home, "status")

    assert status["running"]
    assert status["dead_letters"] == 0
    assert isinstance(status["lag"], list)
    assert "***" in status["addresses"]["postgres"]


def test_status_names_an_address_of_each_of_our_processes_that_answers_whether_it_is_ready(stack_home: Path) -> None:
    services = facts(stack_home, "status")["services"]
    ports = {name: urlsplit(one["metrics"]).port or 0 for name, one in services.items() if one["metrics"]}

    assert set(ports) == ALL - VENDORS
    for name, port in ports.items():
        until(partial(is_ready, port), f"{name} is ready")
        assert f'gateway_process_info{{process="{name}"' in probe_client.ask(port, "/metrics")[1].decode()


def test_a_run_is_listed_and_shown(stack_home: Path) -> None:
    train(stack_home, "shown")
    document = facts(stack_home, "runs", "show", "shown")
    readable = gateway(stack_home, "runs", "show", "shown").stdout

    assert (document["run_id"], document["status"], document["parameters"]) == ("shown", "SUCCESS", {"lr": 0.1})
    assert "status     SUCCESS (finished)" in readable
    assert "0 missing" in readable


def test_a_run_is_followed_to_its_end(stack_home: Path) -> None:
    with training(stack_home, "followed") as process:
        until(lambda: state(stack_home, "followed") == "running", "the run shows")
        command = [sys.executable, "-m", "gateway.cli", "runs", "tail", "followed", "--json", "--home", str(stack_home)]
        tail = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert tail.stderr
        notice = tail.stderr.readline()
        process.communicate("\n", timeout=DEADLINE_S)
        shown, _ = tail.communicate(timeout=DEADLINE_S)
    events = [json.loads(line) for line in shown.splitlines()]

    assert notice == "followed is running\n"
    assert tail.returncode == 0
    assert events[-1]["kind"] == "run_finished"
    assert any(one["name"] == "accuracy" for event in events for one in event.get("series", []))


def test_an_unknown_run_is_named(stack_home: Path) -> None:
    done = gateway(stack_home, "runs", "show", "no-such-run")

    assert done.returncode == 2
    assert "no-such-run" in done.stderr
    assert done.stdout == ""


def test_doctor_finds_no_problem_in_a_running_stack(stack_home: Path) -> None:
    done = facts(stack_home, "doctor")

    assert done["ok"], done


def test_a_sigkill_of_everything_while_training_loses_nothing(stack_home: Path) -> None:
    train(stack_home, "undisturbed")
    with training(stack_home, "disturbed") as process:
        for victim in find_orphans(Home(stack_home)):
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        gateway(stack_home, "up")
        process.communicate("\n", timeout=DEADLINE_S)
        assert process.returncode == 0
    until(lambda: state(stack_home, "disturbed") == "finished", "the run is folded")
    calm, shaken = (facts(stack_home, "runs", "show", run) for run in ("undisturbed", "disturbed"))

    assert metrics(shaken) == metrics(calm)
    assert [producer["missing"] for producer in shaken["completeness"]] == [[]]
    until(lambda: states(stack_home) == dict.fromkeys(ALL, "ready"), "every process is ready")


def metrics(document: Any) -> Any:
    return {name: step["user_defined_metrics"] for name, step in document["steps"].items()}
