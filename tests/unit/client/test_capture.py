"""What is captured automatically: each switch, its bounds, and that secrets stay out."""

from __future__ import annotations

import hashlib
import io
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gateway
from gateway.client import notices
from gateway.client.capture import console, host
from gateway.client.capture.capture import read_switches, start_capture
from gateway.client.capture.console import MAX_LINE, MAX_WAITING, Tee
from gateway.client.capture.git import describe_code, without_credentials
from gateway.client.capture.host import installed_packages, mask_secrets
from gateway.client.capture.machine import COUNTERS, _read_proc, find_reader
from gateway.client.capture.system import System
from gateway.client.recording.recorder import CAPTURE
from gateway.client.run.run import Run
from schemas import events as ev
from schemas.values import to_plain
from tests.support.client_harness import DEADLINE_S, Memory, new_run, shipping

DEFAULTS = {"command", "host", "packages", "code"}


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    monkeypatch.delenv("GATEWAY_CAPTURE", raising=False)
    notices.reset()
    return Memory()


def finish(run: Run) -> None:
    """Finish a run once all is captured: `Run.finish` alone waits a few seconds, and git may take longer."""
    assert run.recorder.stop_background(CAPTURE, DEADLINE_S)
    run.finish()


def environment(memory: Memory) -> dict[str, Any]:
    """Return the values of all environment events, merged."""
    found = [event.values for event in memory.events() if isinstance(event, ev.Environment)]
    return {name: to_plain(value) for values in found for name, value in values.items()}


@pytest.mark.parametrize(
    ("given", "variable", "expected"),
    [
        (None, "", DEFAULTS),
        (None, "none", set()),
        (None, "all", DEFAULTS | {"console", "system"}),
        (None, "command, code", {"command", "code"}),
        (None, "command,odd", {"command"}),
        (True, "none", DEFAULTS | {"console", "system"}),
        (False, "all", set()),
        ({"console": True, "packages": False}, "", DEFAULTS - {"packages"} | {"console"}),
        ({"code": True}, "none", {"code"}),
    ],
)
def test_the_program_decides_and_then_the_environment(
    monkeypatch: pytest.MonkeyPatch, given: Any, variable: str, expected: set[str]
) -> None:
    monkeypatch.setenv("GATEWAY_CAPTURE", variable)

    assert read_switches(given) == expected


@pytest.mark.parametrize("given", [{"consol": True}, 7, "all"])
def test_an_unknown_switch_is_refused_by_name(given: Any) -> None:
    with pytest.raises(gateway.ClientError, match="capture"):
        read_switches(given)


def test_where_and_how_a_run_runs_is_recorded(run: Run, memory: Memory) -> None:
    start_capture(run.recorder, read_switches(None))
    finish(run)

    found = environment(memory)
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (found["process"], found["folder"]) == (os.getpid(), str(Path.cwd()))
    assert found["packages"]["pydantic"]
    assert set(found) >= {"command", "script", "host", "platform", "processors"}


def test_no_environment_variable_is_ever_recorded(run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "hunter2-in-the-environment")
    start_capture(run.recorder, read_switches(True))
    finish(run)

    assert not any(b"hunter2-in-the-environment" in record.value for record in memory.sent)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("train.py --lr 0.1 --tokenizer gpt2 --max-steps=3", "train.py --lr 0.1 --tokenizer gpt2 --max-steps=3"),
        ("--password hunter2 --lr 1", "--password *** --lr 1"),
        ("--api-key=hunter2", "--api-key=***"),
        ("--apiKey hunter2", "--apiKey ***"),
        ("--hf_token hunter2", "--hf_token ***"),
        ("-token -hunter2", "-token ***"),
        ("--token --secret=hunter2", "--token --secret=***"),
        ("db.password=hunter2 optimizer.key=3", "db.password=*** optimizer.key=3"),
        ("--db=postgresql://me:hunter2@host/db", "--db=postgresql://***@host/db"),
        ("--AWS_SECRET_ACCESS_KEY hunter2", "--AWS_SECRET_ACCESS_KEY ***"),
        ("postgresql://me:hun@ter2@host/db", "postgresql://***@host/db"),
        ("https://me:hun/ter?2@host/db", "https://***@host/db"),
        ("kafka://a:9092,b:9092/x@y http://[::1]:80/x@y", "kafka://a:9092,b:9092/x@y http://[::1]:80/x@y"),
        ("https://host/?n=1&token=hunter2", "https://host/?n=1&token=***"),
        ("--set=db.password=hunter2", "--set=db.password=***"),
        ('--json={"lr":1,"password":"hunter2"}', '--json={"lr":1,"password":***'),
        ("lr=1;login(token='hunter2')", "lr=1;login(token=***"),
        ("--header=X-Api-Key:hunter2", "--header=X-Api-Key:***"),
    ],
)
def test_secrets_on_the_command_line_are_masked(given: str, expected: str) -> None:
    assert mask_secrets(given.split()) == expected.split()


def test_a_secret_within_an_argument_with_spaces_is_masked() -> None:
    assert mask_secrets(["Authorization: Bearer hunter2"]) == ["Authorization:***"]


def test_a_program_without_a_folder_or_with_odd_arguments_is_described(
    run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setattr(sys, "argv", [7])
    start_capture(run.recorder, read_switches(None))
    finish(run)

    found = environment(memory)
    assert (found["script"], found["folder"], found["process"]) == ("7", "", os.getpid())
    assert "packages" in found


def test_a_package_with_damaged_metadata_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "old-1.dist-info").mkdir()
    (tmp_path / "old-1.dist-info" / "METADATA").write_bytes("Name: old\nAuthor: Böhm\n".encode("latin-1"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(host, "_packages", {})

    assert installed_packages()["pytest"] == pytest.__version__


def test_packages_are_found_once_a_process() -> None:
    assert installed_packages() == installed_packages()
    assert installed_packages()["pytest"] == pytest.__version__


def git(folder: Path, *command: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text("lr = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    git(tmp_path, "remote", "add", "origin", "https://me:hunter2@example.org/team/code.git?token=hunter2")
    return tmp_path


def test_clean_code_is_its_commit(repository: Path) -> None:
    found = describe_code(repository.as_posix())

    assert found is not None
    assert len(found["code_identifier"]) == 40
    assert (found["code_identifier_dependable"], found["diff_sha256"]) == (True, "")
    assert found["code_identifier_url"] == "https://example.org/team/code.git"


def test_changed_code_differs_from_its_commit_by_a_digest(repository: Path) -> None:
    (repository / "train.py").write_text("lr = 2\n")
    found = describe_code(repository.as_posix())

    difference = subprocess.run(["git", "diff", "--binary", "HEAD"], cwd=repository, check=True, capture_output=True)
    assert found is not None
    assert found["code_identifier_dependable"] is False
    assert found["diff_sha256"] == hashlib.sha256(difference.stdout).hexdigest()


def test_code_without_git_or_commit_is_left_out(
    tmp_path: Path, run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = describe_code("/")
    git(tmp_path, "init", "-q")
    empty = describe_code(tmp_path.as_posix())
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    start_capture(run.recorder, frozenset({"code"}))
    finish(run)

    assert (outside, empty) == (None, None)
    assert memory.kinds() == ["run_finished", "producer_closed"]
    assert notices.counts.get("capture") is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("ssh://git:pw@host:22/a", "ssh://host:22/a"),
        ("https://tok@host/a#frag", "https://host/a"),
        ("https://me:hun@ter2@host/a", "https://host/a"),
        ("https://me:hun/ter?2@host/a", "https://host/a"),
        ("/srv/git/a", "/srv/git/a"),
        ("", ""),
    ],
)
def test_an_address_is_recorded_without_credentials(given: str, expected: str) -> None:
    assert without_credentials(given) == expected


def console_lines(memory: Memory) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for event in memory.events():
        if isinstance(event, ev.ConsoleText):
            found[event.stream] += event.lines
    return found


def test_the_console_is_kept_and_still_printed(run: Run, memory: Memory, capsys: pytest.CaptureFixture[str]) -> None:
    before = (sys.stdout, sys.stderr)
    start_capture(run.recorder, frozenset({"console"}))
    print("one")  # noqa: T201 -- the console keeps printed text
    print("10 %\r20 %\r30 %\ntwo", file=sys.stderr)  # noqa: T201
    sys.stdout.write("no end")
    run.finish()
    print("after")  # noqa: T201

    assert console_lines(memory) == {"stdout": ["one", "no end"], "stderr": ["30 %", "two"]}
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out.startswith("one\nno end")


def test_a_stream_that_the_program_installs_later_stays(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    start_capture(run.recorder, frozenset({"console"}))
    own = io.StringIO()
    monkeypatch.setattr(sys, "stdout", own)
    run.finish()

    assert sys.stdout is own


def test_captures_that_overlap_leave_no_chain_of_streams(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    own = io.StringIO()
    monkeypatch.setattr(sys, "stdout", own)
    with shipping(memory) as shipper:
        last = new_run(shipper)
        start_capture(last.recorder, frozenset({"console"}))
        for _ in range(20):
            after = new_run(shipper)
            start_capture(after.recorder, frozenset({"console"}))
            last.finish()
            last = after
        depth, stream = 0, sys.stdout
        while isinstance(stream, Tee):
            depth, stream = depth + 1, stream._stream
        last.finish()

    assert (depth, stream, sys.stdout) == (1, own, own)


def test_a_line_that_ends_with_a_return_is_replaced_by_the_next() -> None:
    tee = Tee(io.StringIO())
    for part in ("10 %", "\r", "20 %\r", "done\nleft\r\n", "30 %\r"):
        tee.write(part)

    assert [line for _, line in tee.take(is_last=True)] == ["done", "left", "30 %"]


class Written(str):
    """Text of a class of its own."""

    __slots__ = ()


def test_what_threads_and_handlers_write_meanwhile_is_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tee = Tee(io.StringIO())
    others: list[Callable[[], object]] = [
        lambda: tee.write("handler "),
        lambda: in_a_thread(lambda: tee.write("thread ")),
    ]

    def meanwhile(line: str) -> str:
        if others:
            others.pop()()
        return line

    def in_a_thread(work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    monkeypatch.setattr(console, "_as_displayed", meanwhile)
    tee.write("one ")
    tee.write(Written("two "))
    tee.write("end\n")

    assert [line for _, line in tee.take(is_last=True)] == ["one thread handler two end"]


def test_a_tee_raises_what_the_stream_raises_and_is_the_stream_otherwise() -> None:
    stream = io.StringIO()
    tee = Tee(stream)
    tee.writelines(["a", "b\n"])
    stream.close()

    with pytest.raises(ValueError, match="closed"):
        tee.write("c")
    assert tee.closed is True
    assert [line for _, line in tee.take(is_last=True)] == ["ab"]


def test_what_a_tee_keeps_is_bounded() -> None:
    tee = Tee(io.StringIO())
    for _ in range(MAX_WAITING + 10):
        tee.write("x\n")
    long = Tee(io.StringIO())
    for _ in range(100):
        long.write("y" * 1_000)
    long.write("\n")

    assert (len(tee.take(is_last=True)), tee.left_out) == (MAX_WAITING, 10)
    assert [len(line) for _, line in long.take(is_last=True)] == [MAX_LINE]


def test_the_machine_is_sampled(run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SYSTEM_METRICS_S", "0.1")
    start_capture(run.recorder, frozenset({"system"}))
    while memory.kinds().count("system_metrics") < 2:
        run.flush(1.0)
    run.finish()

    last = [event for event in memory.events() if isinstance(event, ev.SystemMetrics)][-1]
    values = {one.name: one.values[0] for one in last.series}
    assert 0 <= values["system/cpu_percent"] <= 200  # the kernel counts processor time in ticks of 10 ms
    assert values["system/process_memory_bytes"] > 1_000_000
    assert 0 < values["system/memory_percent"] < 100
    assert "system/network_sent_bytes_per_s" in values


def test_a_short_run_is_sampled_once(run: Run, memory: Memory) -> None:
    start_capture(run.recorder, frozenset({"system"}))
    finish(run)

    assert memory.kinds().count("system_metrics") == 1


def test_a_machine_that_shows_nothing_gives_no_event(run: Run, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(System, "_rates", lambda *_: {"cpu": math.nan})
    System(run.recorder).stop()
    run.finish()

    assert "system_metrics" not in memory.kinds()


def test_proc_and_psutil_give_the_same_values() -> None:
    by_psutil, by_proc = find_reader()(), _read_proc()

    assert set(by_proc) <= set(by_psutil)
    assert by_proc["memory_percent"] == pytest.approx(by_psutil["memory_percent"], abs=10)
    assert by_proc["process_memory_bytes"] == pytest.approx(by_psutil["process_memory_bytes"], rel=0.2)
    assert set(COUNTERS) & set(by_proc) >= {"cpu_seconds", "process_cpu_seconds"}


@pytest.mark.parametrize("given", ["soon", "0", "-1", "nan"])
def test_a_bad_interval_is_reported(run: Run, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("GATEWAY_SYSTEM_METRICS_S", given)
    start_capture(run.recorder, frozenset({"system"}))

    assert notices.counts["system-setting"] == 1
