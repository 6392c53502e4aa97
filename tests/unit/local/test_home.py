"""The home of a stack: its files are private, replaced as a whole, and read back."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psutil
import pytest

from gateway.client.journal.folder import make_private
from gateway.local.home import LOG_LIMIT_BYTES, Home, ProcessRecord, StackRecord, find_process, start_mark
from schemas.errors import StackError


def record() -> StackRecord:
    return {"version": 1, "running": True, "settings": {"postgres": "secret"}, "ports": {"live": 1}, "processes": {}}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.create()
    return found


def test_stack_json_is_readable_by_its_owner_only(home: Home) -> None:
    home.write(record())
    mode = stat.S_IMODE((home.folder / "stack.json").stat().st_mode)

    assert mode == 0o600
    assert home.read() == record()


def test_a_home_of_another_release_is_refused(home: Home) -> None:
    (home.folder / "stack.json").write_text('{"version": 2}')

    with pytest.raises(StackError, match="another release"):
        home.read()


def test_a_home_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StackError, match="file"):
        Home(tmp_path / "file" / "home").create()


def test_a_home_has_one_supervisor_at_a_time(home: Home) -> None:
    first = home.lock()
    second = home.lock()
    assert first is not None
    first.close()
    third = home.lock()

    assert second is None
    assert third is not None
    third.close()


def test_a_log_that_has_grown_is_emptied_while_its_process_writes(home: Home) -> None:
    with home.open_log("kafka") as log:
        log.write(b"x" * (LOG_LIMIT_BYTES + 1))
        log.flush()
        assert home.rotate_log("kafka")
        assert not home.rotate_log("kafka")
        log.write(b"next")

    assert home.log("kafka").read_bytes() == b"next"
    assert (home.logs / "kafka.log.1").stat().st_size == LOG_LIMIT_BYTES + 1


def test_a_home_that_training_made_first_is_closed(tmp_path: Path) -> None:
    old_mask = os.umask(0o022)
    try:
        make_private(str(tmp_path / "share" / "home" / "journal"))
        earlier = tmp_path / "earlier"
        earlier.mkdir()
        Home(earlier).create()
    finally:
        os.umask(old_mask)

    made = [tmp_path / "share" / "home", tmp_path / "share" / "home" / "journal", earlier, earlier / "logs"]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in made] == [0o700] * 4


def test_a_later_process_with_an_old_pid_is_not_ours() -> None:
    unrelated = {"pid": os.getpid(), "create_time": 1.0, "state": "ready", "restarts": 0, "error": "", "log": ""}

    assert find_process(unrelated) is None  # type: ignore[arg-type]  # a literal of the same shape


def test_an_exiting_process_without_memory_counts_as_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    mine: ProcessRecord = {
        "pid": os.getpid(), "create_time": psutil.Process().create_time(), "state": "ready", "restarts": 0,
        "error": "", "log": "",
    }  # fmt: skip
    before = find_process(mine)
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: [])  # as in /proc for a process that is exiting

    assert before is not None
    assert find_process(mine) is None


def test_a_process_is_recognised_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    mine: ProcessRecord = {
        "pid": os.getpid(), "create_time": psutil.Process().create_time(), "start": start_mark(os.getpid()),
        "state": "ready", "restarts": 0, "error": "", "log": "",
    }  # fmt: skip
    boot = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + 3_600)

    assert find_process(mine) is not None
    assert find_process({**mine, "start": mine["start"] + "1"}) is None
