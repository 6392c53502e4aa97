"""Which run an id means that was used before: two trainings never share an attempt unless a program asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gateway
from gateway.client.journal.folder import find_journals, journal_home
from gateway.client.process import inheritance, owner
from gateway.client.run import used_ids
from gateway.client.run.run import Run
from tests.support.client_harness import ROOT

pytestmark = pytest.mark.usefixtures("own_process")


def elsewhere(code: str, **environment: str) -> list[str]:
    """Run a script in another process with the journal home of this test; return the words that it prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"import gateway, os, signal\n{code}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return (done.stdout + done.stderr).split()


def facts(run: Run) -> tuple[bool, int, bool]:
    """Return whether the run is the one called "r", its attempt, and whether this process ends it."""
    return run.id == "r", run.attempt, run.is_owner


ENDS = {
    "finish": ("run.finish()", (False, 1, True)),
    "failed": ("run.finish('failed')", (False, 1, True)),
    "exit": ("", (False, 1, True)),
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", (True, 2, True)),
    "os._exit": ("os._exit(0)", (True, 2, True)),
    "SIGTERM": ("os.kill(os.getpid(), signal.SIGTERM)", (True, 2, True)),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_script_with_a_fixed_id_that_is_run_again(capsys: pytest.CaptureFixture[str], how: str) -> None:
    code, expected = ENDS[how]
    elsewhere(f"run = gateway.start_run(run_id='r'); run.emit('x', 1)\n{code}")

    run = gateway.start_run("again", run_id="r")

    said = capsys.readouterr().err
    assert facts(run) == expected
    assert (said.count("gateway: "), "was used before" in said) == (1, True)
    assert run.name == "again"


def test_the_same_id_twice_in_one_process_is_two_runs(capsys: pytest.CaptureFixture[str]) -> None:
    with gateway.start_run(run_id="r", params={"lr": 1}) as first:
        second = gateway.start_run(run_id="r", params={"lr": 2})
        second.finish()
    third = gateway.start_run(run_id="r")

    assert first.id == "r"
    assert len({first.id, second.id, third.id}) == 3
    assert all(run.id.startswith("r-") for run in (second, third))
    assert capsys.readouterr().err.count("to continue the earlier one, pass resume=True") == 2


@pytest.mark.parametrize("run_id", ["r" * 256, "д" * 256])
def test_the_suffix_fits_behind_an_id_of_any_length(run_id: str) -> None:
    gateway.start_run(run_id=run_id).finish()
    second = gateway.start_run(run_id=run_id).id

    assert (len(second) <= 256, len(second.encode()) <= 512, second[:200]) == (True, True, run_id[:200])


def test_an_id_that_a_living_process_has_is_not_written_by_a_second_one() -> None:
    gateway.start_run(run_id="r")
    del os.environ["GATEWAY_RUN_ID"], os.environ["GATEWAY_JOIN"]

    words = elsewhere("run = gateway.start_run(run_id='r'); print(run.id, run.is_owner)")

    assert words[0].startswith("r-")
    assert words[1] == "True"


def test_processes_of_one_launcher_that_give_the_same_id_are_one_run() -> None:
    gateway.start_run(run_id="r")
    del os.environ["GATEWAY_RUN_ID"], os.environ["GATEWAY_JOIN"]

    assert elsewhere("run = gateway.start_run(run_id='r'); print(run.id, run.is_owner)", RANK="1")[:2] == ["r", "False"]


@pytest.mark.parametrize("name", inheritance.LAUNCHES)
def test_processes_of_two_launches_that_give_the_same_id_are_two_runs(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv(name, "1")
    gateway.start_run(run_id="r")
    del os.environ["GATEWAY_RUN_ID"], os.environ["GATEWAY_JOIN"]
    code = "run = gateway.start_run(run_id='r'); print(run.id[:2], run.is_owner)"

    assert elsewhere(code, RANK="1")[:2] == ["r", "False"]
    assert elsewhere(code, **{name: "2"})[:2] == ["r-", "True"]


@pytest.mark.parametrize("restarts", ["0", "1"])
def test_processes_of_one_launch_continue_a_run_together(monkeypatch: pytest.MonkeyPatch, restarts: str) -> None:
    for name, value in {"RANK": "0", "SLURM_JOB_ID": "1", "SLURM_RESTART_COUNT": restarts}.items():
        monkeypatch.setenv(name, value)
    first = gateway.start_run(run_id="r", resume=restarts == "0")
    for name in ("RUN_ID", "JOIN", "ATTEMPT"):
        del os.environ[f"GATEWAY_{name}"]
    code = (
        f"run = gateway.start_run(run_id='r', resume={restarts == '0'}); print(run.id[:2], run.attempt, run.is_owner)"
    )

    assert facts(first) == (True, 2, True)
    assert elsewhere(code, RANK="1")[:3] == ["r", "2", "False"]
    assert elsewhere(code, RANK="1", SLURM_JOB_ID="2")[:3] == [["r", "3", "True"], ["r-", "1", "True"]][int(restarts)]


def test_each_resumption_is_an_attempt_of_its_own() -> None:
    attempts = [gateway.start_run(run_id="r").attempt]
    for _ in range(3):
        gateway.finish()
        attempts.append(gateway.start_run(run_id="r", resume=True).attempt)

    assert attempts == [1, 2, 3, 4]


def test_an_attempt_that_is_given_is_taken_as_it_is() -> None:
    for attempt in (1, 1, 5):
        with gateway.start_run(run_id="r", attempt=attempt) as run:
            assert facts(run) == (True, attempt, True)


def test_a_launcher_that_counts_restarts_decides_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere("gateway.start_run(run_id='r'); os._exit(0)")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with gateway.start_run(run_id="r") as first:
        assert facts(first) == (True, 2, True)

    assert gateway.start_run(run_id="r").id != "r"  # another training in the same job


def test_a_name_may_repeat_and_an_id_that_nobody_chose_is_not_remembered() -> None:
    for _ in range(2):
        gateway.start_run("same").finish()

    assert not Path(journal_home(), ".run-ids").exists()


def test_used_ids_are_no_journals() -> None:
    gateway.start_run(run_id="r")

    assert [Path(one).parent.name for one in find_journals(journal_home())] == ["r"]


# Steps that go on.


@pytest.mark.parametrize(("step", "lines"), [(None, 1), (7, 0)])
def test_a_continued_run_whose_earlier_steps_are_not_known_says_so_when_it_counts_from_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: int | None, lines: int
) -> None:
    monkeypatch.setenv("GATEWAY_LIVE_URL", "http://127.0.0.1:1")
    run = gateway.start_run(run_id="r", resume=True)
    run.emit("x", 1.0, step)
    run.emit("y", 1.0, step)

    said = capsys.readouterr().err
    assert said.count("run r: the steps of its earlier attempts are not known") == lines
    assert said.count("http://127.0.0.1:1") == lines


def test_emit_waits_for_no_api(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in {"GATEWAY_RUN_ID": "r", "GATEWAY_JOIN": "r", "GATEWAY_ATTEMPT": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GATEWAY_LIVE_URL", "http://127.0.0.1:1")
    gateway.emit("x", 1.0)

    assert "`emit` does not wait for the API" in capsys.readouterr().err


def test_the_first_attempt_asks_no_api_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    gateway.start_run(run_id="r").emit("x", 1.0)

    assert capsys.readouterr().err == ""


# A run that a batch script names.


def test_a_run_that_only_a_script_named_is_started_and_ended_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "job")
    with gateway.start_run("slurm one task") as run:
        found = (run.id, run.name, run.is_owner)
    second = gateway.start_run()

    assert found == ("job", "slurm one task", True)
    assert second.id.startswith("job-")


@pytest.mark.parametrize(("code", "attempt"), [("gateway.emit('x', 1)", 2), ("gateway.emit('x', 1); os._exit(0)", 2)])
def test_the_next_process_of_such_a_script_is_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: str, attempt: int
) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "r")
    elsewhere(code)

    assert facts(gateway.start_run()) == (True, attempt, True)
    assert "continues it as attempt 2" in capsys.readouterr().err


@pytest.mark.parametrize(("rank", "is_owner"), [("0", "True"), ("1", "False")])
def test_of_a_job_that_a_script_named_rank_0_starts_the_run(rank: str, is_owner: str) -> None:
    assert elsewhere("print(gateway.start_run().is_owner)", GATEWAY_RUN_ID="r", SLURM_PROCID=rank)[0] == is_owner


def test_a_second_process_beside_it_joins_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_RUN_ID", "r")
    gateway.start_run()

    words = elsewhere("run = gateway.start_run(); print(run.id, run.is_owner)", GATEWAY_JOIN="")
    assert (words[:2], "joins" in words) == (["r", "False"], True)


# Which process has an id.


def test_a_process_is_gone_only_if_that_is_proved() -> None:
    here = owner.this_process()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    living = owner.name_of(child.pid)
    child.communicate(b"\n")

    assert not owner.is_gone(here)
    assert owner.is_gone(living)
    assert owner.is_gone({**here, "started": "1"})  # its id was given to another process
    assert owner.is_gone({**here, "boot": "another"})
    assert not owner.is_gone({**here, "host": "another", "boot": "another"})
    assert not owner.is_gone({**here, "space": "another", "pid": 1})
    assert not owner.is_gone({})


def test_of_many_processes_that_claim_an_id_one_gets_it() -> None:
    code = "run = gateway.start_run(run_id='r'); print(run.id)\ninput()"
    many = [
        subprocess.Popen(
            [sys.executable, "-c", f"import gateway\n{code}"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(4)
    ]
    ids = [one.stdout.readline().strip() for one in many if one.stdout]
    for one in many:
        one.communicate("\n")

    assert len(set(ids)) == 4
    assert ids.count("r") == 1


@pytest.mark.parametrize("text", ["", "not json\n", "[]\n", "\x00"])
def test_a_damaged_file_of_a_used_id_means_that_the_id_is_taken(text: str) -> None:
    gateway.start_run(run_id="r").finish()
    Path(journal_home(), ".run-ids", "r", "1").write_text(text)

    assert gateway.start_run(run_id="r").id.startswith("r-")


def test_a_home_that_cannot_be_written_takes_an_id_for_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GATEWAY_JOURNAL_DIR", str(tmp_path / "file" / "journal"))

    assert [used_ids.claim("r"), used_ids.claim("r")] == [None, None]
    assert gateway.start_run(run_id="r").id == "r"


def test_a_notice_holds_no_escape_sequence(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        gateway.start_run("\x1b[2J\r\nInjected: yes")
    gateway.finish()

    assert all(line.isprintable() for line in capsys.readouterr().err.splitlines())
