"""One agent ships what the processes of a host record; where there is none, they do so themselves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.client.agent.place import AgentPlace
from tests.support.client_harness import train, wait_for
from tests.support.node_agents import Logged, Trainings, agent_of, agent_processes, no_agent_left, wait_for_agent

COUNTING = """
    import gateway, sys
    run = gateway.start_run(run_id="counted", capture=False)
    for step in range(1_000):
        gateway.emit("loss", step * 0.5, step)
    print(run.flush(30), run.health()["sent"], run.health()["connected"])
    gateway.log_params({"lr": 0.1})
    gateway.emit("name", "text")
    report = run.finish()
    print(report.emitted, report.sent, report.unsent, report.dropped, repr(report.journal))
    print(*sorted({name for name in ("asyncio", "aiokafka") if name in sys.modules}))
    """


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
            "GATEWAY_AGENT": "on",
            "GATEWAY_FINISH_TIMEOUT_S": "60",
        }


@pytest.mark.parametrize("agent", ["on", "off"])
def test_flush_finish_and_health_mean_the_same_with_an_agent_and_without(
    kafka: str, topic: str, journal_home: Path, settings: dict[str, str], agent: str
) -> None:
    done = train(COUNTING, {**settings, "GATEWAY_AGENT": agent})

    assert (done.returncode, done.stderr) == (0, "")
    flushed, report, *loaded = done.stdout.splitlines()
    assert flushed == "True 1000 True"
    assert report == "1001 1001 0 0 ''"
    assert loaded == ([""] if agent == "on" else ["aiokafka asyncio"])
    found = Logged(kafka, topic)
    assert found.steps["counted"] == list(range(1_000))
    assert found.kinds["counted"][-2:] == ["run_finished", "producer_closed"]
    assert not list(journal_home.rglob("*.seg"))


def test_processes_that_start_at_once_have_one_agent_which_outlives_them(
    kafka: str, topic: str, journal_home: Path, trainings: Trainings
) -> None:
    started = [trainings.start(f"run-{number}") for number in range(4)]
    for one in started:
        one.wait(1_000)
    reports = [one.finish()[0] for one in started]

    assert [(sent, unsent, dropped) for _, sent, unsent, dropped in reports] == [(all_, 0, 0) for all_, *_ in reports]
    assert len(agent_processes(journal_home)) == 1
    found = Logged(kafka, topic)
    assert found.steps == {f"run-{number}": list(range(reports[number][0])) for number in range(4)}
    assert found.repeated == 0


def test_an_agent_ends_when_it_has_been_idle(journal_home: Path, settings: dict[str, str]) -> None:
    done = train(COUNTING, {**settings, "GATEWAY_AGENT_IDLE_S": "0.2"})

    assert done.returncode == 0, done.stderr
    wait_for(lambda: not agent_of(journal_home), timeout_s=20)
    wait_for(lambda: agent_processes(journal_home) == [], timeout_s=20)


def test_one_agent_sends_to_several_addresses(kafka: str, topic: str, journal_home: Path, trainings: Trainings) -> None:
    (host, port) = kafka.split(":")
    first = trainings.start("first").wait(100)
    second = trainings.start("second", GATEWAY_URL=f"kafka://localhost:{port}").wait(100)
    reports = [first.finish()[0], second.finish()[0]]

    assert host == "127.0.0.1"
    assert [one[0] - one[1] for one in reports] == [0, 0]
    assert len(agent_processes(journal_home)) == 1
    assert set(Logged(kafka, topic).steps) == {"first", "second"}


@pytest.mark.parametrize("changed", [{"protocol": 99, "release": "9.9"}, {"fingerprint": "another"}])
def test_an_agent_of_another_release_or_with_other_credentials_is_left_alone(
    kafka: str, topic: str, journal_home: Path, settings: dict[str, str], changed: dict[str, object]
) -> None:
    place = AgentPlace(str(journal_home))
    train(COUNTING.replace("counted", "before"), settings)
    state = place.read_state()
    place.write_state({**state, **changed})
    done = train(COUNTING, settings)

    assert done.returncode == 0
    assert "no agent ships the journals of this process" in done.stderr
    assert done.stdout.splitlines()[1] == "1001 1001 0 0 ''"
    assert done.stdout.splitlines()[2] == "aiokafka asyncio"
    assert Logged(kafka, topic).steps["counted"] == list(range(1_000))
    assert agent_of(journal_home)["id"] == state["id"]


@pytest.mark.parametrize("hindrance", ["no Python", "no folder", "ends at once"])
def test_where_no_agent_can_start_the_process_ships_by_itself(
    kafka: str, topic: str, journal_home: Path, tmp_path: Path, settings: dict[str, str], hindrance: str
) -> None:
    before = ""
    if hindrance == "no Python":
        before = "import sys; sys.executable = '/nowhere/python3'"
    elif hindrance == "no folder":
        (journal_home / f".agents-{os.getuid()}").write_text("in the way", encoding="utf-8")
    else:
        python = tmp_path / "python3"
        python.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        python.chmod(0o700)
        before = f"import sys; sys.executable = {str(python)!r}"
    done = train(f"    {before}\n{COUNTING}", settings)

    assert done.returncode == 0
    assert "no agent ships the journals of this process" in done.stderr
    assert done.stdout.splitlines()[1] == "1001 1001 0 0 ''"
    assert Logged(kafka, topic).steps["counted"] == list(range(1_000))


def test_with_require_events_wait_in_the_journal_until_there_is_an_agent(
    kafka: str, topic: str, journal_home: Path, settings: dict[str, str]
) -> None:
    needed = {**settings, "GATEWAY_AGENT": "require", "GATEWAY_FINISH_TIMEOUT_S": "0.5"}
    done = train(f"    import sys; sys.executable = '/nowhere/python3'\n{COUNTING.replace('30)', '0.5)')}", needed)

    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "False 0 False"
    assert len(list(journal_home.rglob("*.seg"))) > 0
    train(COUNTING.replace("counted", "next"), settings)
    wait_for(lambda: not list(journal_home.rglob("*.seg")), timeout_s=30)
    assert Logged(kafka, topic).steps["counted"] == list(range(1_000))


def test_a_full_disk_makes_the_process_ship_what_it_has_in_memory(
    kafka: str, topic: str, journal_home: Path, settings: dict[str, str]
) -> None:
    done = train(
        """
        import resource, signal, gateway
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        run = gateway.start_run(run_id="full", capture=False)
        gateway.emit("loss", 0.0, 0)
        assert run.flush(30)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        for step in range(1, 10_000):
            gateway.emit("loss", float(step), step)
        for number in range(300):
            run.log_params({f"p{number}": "x" * 1_000})
        report = run.finish()
        print(report.emitted, report.sent, report.unsent, report.dropped)
        """,
        settings,
    )
    emitted, sent, unsent, dropped = map(int, done.stdout.split())

    assert (done.returncode, unsent) == (0, 0), done.stderr
    assert sent + dropped == emitted == 10_000
    found = Logged(kafka, topic)
    assert len(found.steps["full"]) == len(set(found.steps["full"])) == sent
    assert found.kinds["full"].count("params") == 300
    assert found.gaps == set()


def test_a_child_that_is_forked_has_a_journal_of_its_own(
    kafka: str, topic: str, journal_home: Path, settings: dict[str, str]
) -> None:
    done = train(
        """
        import os, gateway
        run = gateway.start_run(run_id="forks", capture=False)
        gateway.emit("loss", 0.0, 0)
        assert run.flush(30)
        for number in (1, 2):
            if not os.fork():
                gateway.emit("loss", float(number), number)
                report = run.finish()
                os._exit(report.unsent)
        codes = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in (1, 2)]
        gateway.emit("loss", 3.0, 3)
        print(codes, run.finish().unsent)
        """,
        settings,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 0] 0\n", "")
    found = Logged(kafka, topic)
    assert sorted(found.steps["forks"]) == [0, 1, 2, 3]
    assert len(agent_processes(journal_home)) == 1


def test_an_agent_that_is_stopped_by_sigterm_hands_over(
    kafka: str, topic: str, journal_home: Path, trainings: Trainings
) -> None:
    training = trainings.start("handed").wait(1_000)
    first = wait_for_agent(journal_home)
    os.kill(first, signal.SIGTERM)
    wait_for(lambda: agent_of(journal_home).get("pid", first) != first, timeout_s=30)
    report, _ = training.finish()

    assert report[1:] == [report[0], 0, 0]
    assert Logged(kafka, topic).steps["handed"] == list(range(report[0]))


def test_the_state_of_an_agent_holds_no_secret(journal_home: Path, settings: dict[str, str]) -> None:
    done = train(COUNTING, {**settings, "GATEWAY_TOKEN": "very-secret"})
    place = AgentPlace(str(journal_home))

    assert done.returncode == 0, done.stderr
    assert "very-secret" not in json.dumps(place.read_state())
    process = agent_of(journal_home)["pid"]
    assert b"very-secret" not in Path(f"/proc/{process}/environ").read_bytes()
    assert b"very-secret" not in Path(f"/proc/{process}/cmdline").read_bytes()
    modes = {path.name: path.stat().st_mode & 0o777 for path in [*Path(place.folder).iterdir(), Path(place.folder)]}
    assert {name for name, mode in modes.items() if mode & 0o077} == set()


def test_a_process_gives_its_journals_back_when_there_is_an_agent_again(
    kafka: str, topic: str, journal_home: Path, settings: dict[str, str]
) -> None:
    done = train(
        """
        import os, sys, time, threading
        from gateway.client.agent import follower, link
        follower.STAYS_S = 0.1
        link.RETRY_S = link.RESTART_S = 0.2
        import gateway
        python, sys.executable = sys.executable, "/nowhere/python3"
        run = gateway.start_run(run_id="returned", capture=False)
        shippers = []
        for step in range(40_000):
            gateway.emit("loss", step * 0.5, step)
            if step == 5_000:
                assert run.flush(30)
                shippers.append(run.recorder.producer.own is not None)
                sys.executable = python
            if step > 5_000 and step % 50 == 0:
                time.sleep(0.002)
        while run.recorder.producer.own is not None:
            gateway.emit("loss", step * 0.5, step := step + 1)
            time.sleep(0.001)
        assert run.flush(30)
        threads = [one.name for one in threading.enumerate() if "shipper" in one.name]
        print(*shippers, run.recorder.producer.own, threads)
        report = run.finish()
        print(report.emitted - step, report.sent - step, report.unsent, report.dropped)
        """,
        settings,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "True None ['gateway-shipper']\n1 1 0 0\n"
    found = Logged(kafka, topic)
    assert found.steps["returned"] == list(range(len(found.steps["returned"])))
    assert found.gaps == set()
    assert len(agent_processes(journal_home)) == 1
