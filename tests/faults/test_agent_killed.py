"""Trainings and the agent that ships them are killed, or stopped: nothing is lost, and nothing is in the log twice."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from gateway.client.agent.place import AgentPlace
from gateway.client.journal.folder import find_journals
from tests.support.client_harness import wait_for
from tests.support.gateway_command import gateway_with
from tests.support.node_agents import Logged, Trainings, agent_of, no_agent_left, wait_for_agent

SLOW = [pytest.mark.slow, pytest.mark.timeout(1_500)]


@pytest.fixture
def trainings(tmp_path: Path, settings: dict[str, str]) -> Iterator[Trainings]:
    """Starts trainings that end with the test."""
    with Trainings(tmp_path, settings) as made:
        yield made


@pytest.fixture
def settings(kafka: str, topic: str, journal_home: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables of a training that an agent ships; the agent ends with the test."""
    with no_agent_left(journal_home):
        yield {
            "GATEWAY_URL": f"kafka://{kafka}",
            "GATEWAY_TOPIC": topic,
            "GATEWAY_JOURNAL_DIR": str(journal_home),
            "GATEWAY_HOME": str(tmp_path),
        }


def journals(home: Path) -> list[str]:
    """Return the folders of the journals that are there."""
    return list(find_journals(str(home)))


@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=SLOW)])
def test_what_a_killed_training_left_is_in_the_log_within_a_second(
    kafka: str,
    topic: str,
    journal_home: Path,
    trainings: Trainings,
    kills: int,
) -> None:
    took, emitted = [], {}
    other = trainings.start("other").wait(100)  # so that there is an agent
    wait_for_agent(journal_home)
    for number in range(kills):
        training = trainings.start(f"killed-{number}").wait(100)
        sleep(random.uniform(0.0, 0.5))
        emitted[training.run_id] = training.kill()
        begin = monotonic()
        wait_for(lambda: len(journals(journal_home)) == 1, timeout_s=30)  # that of the other
        took.append(monotonic() - begin)
    assert other.finish()[0][2:] == [0, 0]
    found = Logged(kafka, topic)
    took.sort()
    sys.stdout.write(f"\nfrom SIGKILL to the end: p50 {took[len(took) // 2]:.2f} s, max {took[-1]:.2f} s\n")

    for run_id, least in emitted.items():
        assert found.steps[run_id] == list(range(len(found.steps[run_id])))
        assert least <= len(found.steps[run_id]) <= least + 40
        assert found.kinds[run_id][-2:] == ["run_killed", "producer_closed"]
    assert found.gaps == set()
    assert took[len(took) // 2] < 2.0  # 0.3 s on a quiet machine


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=SLOW)])
def test_an_agent_that_is_killed_while_it_ships_loses_and_doubles_nothing(
    kafka: str, topic: str, journal_home: Path, trainings: Trainings, kills: int
) -> None:
    started = [trainings.start(f"run-{number}") for number in range(3)]
    for one in started:
        one.wait(100)
    killed: set[int] = set()
    for _ in range(kills):
        wait_for(lambda: agent_of(journal_home).get("pid", 0) not in killed | {0}, timeout_s=60)
        process = wait_for_agent(journal_home)
        sleep(random.uniform(0.0, 1.0))
        os.kill(process, signal.SIGKILL)
        killed.add(process)
    reports = [one.finish()[0] for one in started]
    found = Logged(kafka, topic)

    assert [report[1:] for report in reports] == [[report[0], 0, 0] for report in reports]
    assert found.steps == {one.run_id: list(range(report[0])) for one, report in zip(started, reports, strict=True)}
    assert found.gaps == set()


def test_after_both_are_killed_at_once_sync_sends_the_rest(
    kafka: str, topic: str, journal_home: Path, settings: dict[str, str], trainings: Trainings
) -> None:
    started = [trainings.start(f"run-{number}").wait(500) for number in range(3)]
    agent = wait_for_agent(journal_home)
    os.kill(agent, signal.SIGKILL)
    emitted = {one.run_id: one.kill() for one in started}
    done = gateway_with({**settings, "GATEWAY_AGENT": "off"}, "sync", "--json")
    found = Logged(kafka, topic)

    assert done.returncode == 0, done.stderr
    assert not journals(journal_home)
    for run_id, least in emitted.items():
        assert found.steps[run_id] == list(range(len(found.steps[run_id])))
        assert least <= len(found.steps[run_id]) <= least + 40
    assert found.gaps == set()


def test_a_stopped_agent_is_replaced_by_the_process_and_does_no_harm_when_it_continues(
    kafka: str, topic: str, journal_home: Path, trainings: Trainings
) -> None:
    started = [trainings.start(f"run-{number}").wait(500) for number in range(2)]
    agent = wait_for_agent(journal_home)
    os.kill(agent, signal.SIGSTOP)
    try:
        before = sum(len(steps) for steps in Logged(kafka, topic).steps.values())
        wait_for(lambda: sum(len(steps) for steps in Logged(kafka, topic).steps.values()) > before + 5_000)
    finally:
        os.kill(agent, signal.SIGCONT)
    for one in started:
        one.wait(one.emitted + 3_000)
    reports = [one.finish()[0] for one in started]
    found = Logged(kafka, topic)

    assert [report[1:] for report in reports] == [[report[0], 0, 0] for report in reports]
    assert found.steps == {one.run_id: list(range(report[0])) for one, report in zip(started, reports, strict=True)}
    assert found.gaps == set()


def test_a_training_that_is_killed_while_the_agent_is_stopped_is_recovered_by_another_process(
    kafka: str, topic: str, journal_home: Path, settings: dict[str, str], trainings: Trainings
) -> None:
    training = trainings.start("killed").wait(500)
    agent = wait_for_agent(journal_home)
    os.kill(agent, signal.SIGSTOP)
    try:
        least = training.kill()
        done = gateway_with({**settings, "GATEWAY_AGENT": "off"}, "sync", "--json")
    finally:
        os.kill(agent, signal.SIGCONT)
    after = AgentPlace(str(journal_home)).map_pulse()
    begun = after[:]
    wait_for(lambda: after[:] != begun)  # it has had a turn
    found = Logged(kafka, topic)

    assert done.returncode == 0, done.stderr
    assert found.steps["killed"] == list(range(len(found.steps["killed"])))
    assert least <= len(found.steps["killed"]) <= least + 40
    assert found.gaps == set()
