"""The API as a process: its start, its errors at the start, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.local.ports import HOST, free_ports
from tests.support import services
from tests.support.live_server import fold, settings_for
from tests.support.machine import allowed

DEADLINE_S = 150.0


@contextmanager
def process(folder: Path, **settings: object) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that serves the API, and end it afterwards."""
    inherited = {
        name: value for name, value in os.environ.items() if name == "GATEWAY_AGENT" or not name.startswith("GATEWAY_")
    }
    mine = {"home": folder, "ready_file": folder / "ready", **settings}
    started = subprocess.Popen(
        [sys.executable, "-m", "consumers.live"],
        env=inherited | {f"GATEWAY_{name.upper()}": str(value) for name, value in mine.items()},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def until_ready(started: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not (folder / "ready").exists():
        assert started.poll() is None, started.communicate()[1]
        assert time.monotonic() < deadline, "not ready in time"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_3_s_with_an_open_stream(
    kafka: str, topic: str, database: str, tmp_path: Path, number: signal.Signals
) -> None:
    settings = settings_for(kafka, topic, database, tmp_path)
    services.run(fold(settings))
    with process(tmp_path, kafka=kafka, topic=topic, postgres=database, live_port=settings.live_port) as started:
        until_ready(started, tmp_path)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{settings.api}/v1/stream", timeout=DEADLINE_S) as answer:
            assert answer.readline().startswith(b"retry:")
            asked = time.monotonic()
            started.send_signal(number)
            errors = started.communicate(timeout=DEADLINE_S)[1]

    assert time.monotonic() - asked < allowed(3)
    assert (started.returncode, "Traceback" in errors) == (0, False)


def test_a_port_in_use_is_named_with_the_next_step(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with process(
            tmp_path, kafka="127.0.0.1:9", postgres="postgresql://u:p@127.0.0.1:9/x", live_port=port
        ) as started:
            errors = started.communicate(timeout=DEADLINE_S)[1]

    assert started.returncode == 78
    assert errors.splitlines() == [
        f"gateway: live: port {port} on 127.0.0.1 is in use by another program: "
        "end that program, or choose another port with GATEWAY_LIVE_PORT"
    ]


def test_a_wrong_password_ends_it_and_is_named_without_being_shown(
    kafka: str, topic: str, database: str, tmp_path: Path
) -> None:
    parts = urlsplit(database)
    wrong = database.replace(f":{parts.password}@", ":not-the-password@")
    (port,) = free_ports(1)
    with process(tmp_path, kafka=kafka, topic=topic, postgres=wrong, live_port=port) as started:
        errors = started.communicate(timeout=DEADLINE_S)[1]

    assert started.returncode == 78
    assert "correct the password in GATEWAY_POSTGRES" in errors.splitlines()[-1]
    assert "not-the-password" not in errors


def test_an_unknown_setting_ends_it_and_is_named(tmp_path: Path) -> None:
    with process(tmp_path, live_prot=1) as started:
        errors = started.communicate(timeout=DEADLINE_S)[1]

    assert started.returncode == 78
    assert "GATEWAY_LIVE_PROT" in errors


def test_a_missing_address_ends_it_and_is_named(tmp_path: Path) -> None:
    with process(tmp_path) as started:
        errors = started.communicate(timeout=DEADLINE_S)[1]

    assert started.returncode == 78
    assert "GATEWAY_" in errors.splitlines()[-1]
