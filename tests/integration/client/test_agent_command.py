"""`gateway agent` runs an agent in the foreground, shows it and ends it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client.agent.place import SHARED, AgentPlace
from tests.support.client_harness import ROOT, train, wait_for
from tests.support.gateway_command import gateway_with
from tests.support.node_agents import Logged, agent_processes

TRAINING = """
    import gateway, sys
    run = gateway.start_run(run_id="shown", capture=False)
    gateway.emit("loss", 0.5, 0)
    print(run.finish().unsent, "aiokafka" in sys.modules)
    """


@pytest.fixture
def settings(kafka: str, topic: str, journal_home: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "GATEWAY_URL": f"kafka://{kafka}",
        "GATEWAY_TOPIC": topic,
        "GATEWAY_JOURNAL_DIR": str(journal_home),
        "GATEWAY_HOME": str(tmp_path),
        "GATEWAY_AGENT": "require",
        "PATH": "/usr/bin:/bin",
    }


@pytest.fixture(params=["gateway.cli", "gateway.client.agent"])
def agent(
    request: pytest.FixtureRequest, settings: dict[str, str], journal_home: Path
) -> Iterator[subprocess.Popen[str]]:
    """An agent in the foreground, started by the command or by the module of the client."""
    command = [sys.executable, "-m", request.param, *(["agent"] if request.param == "gateway.cli" else [])]
    with subprocess.Popen(command, env=settings, cwd=ROOT, text=True, stderr=subprocess.PIPE) as process:
        try:
            wait_for(lambda: AgentPlace(str(journal_home), SHARED).is_taken)
            yield process
        finally:
            process.kill()


def test_trainings_use_the_agent_that_is_there_and_start_none(
    kafka: str, topic: str, journal_home: Path, settings: dict[str, str], agent: subprocess.Popen[str]
) -> None:
    done = train(TRAINING, settings)

    assert (done.returncode, done.stdout, done.stderr) == (0, "0 False\n", "")
    assert Logged(kafka, topic).steps == {"shown": [0]}
    assert agent_processes(journal_home) == [agent.pid]


def test_status_names_the_agent_and_stop_ends_it(
    journal_home: Path, settings: dict[str, str], agent: subprocess.Popen[str]
) -> None:
    shown = gateway_with(settings, "agent", "status", "--json")
    (one,) = json.loads(shown.stdout)["agents"]
    stopped = gateway_with(settings, "agent", "stop")
    after = gateway_with(settings, "agent", "status")

    assert (one["pid"], one["shared"], one["journals"]) == (agent.pid, True, 0)
    assert "1 agents stopped" in stopped.stdout
    assert agent.wait(30) == 0
    assert "no agent" in after.stdout


def test_a_second_agent_of_the_same_home_says_that_there_is_one(
    settings: dict[str, str], agent: subprocess.Popen[str]
) -> None:
    second = gateway_with(settings, "agent")

    assert second.returncode == 1
    assert "another agent has" in second.stderr
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(30) == 0
