"""`gateway runs list | tail`: an API that does not answer, and events as lines."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import main
from gateway.cli.runs import _event_line, _print_page
from tests.support.gateway_command import COMMAND, environment

run = CliRunner().invoke


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_runs_without_an_api_names_its_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_LIVE_URL", "http://127.0.0.1:1")
    result = run(main.app, ["runs", "list", "--home", str(home)])

    assert result.exit_code == 2
    assert "http://127.0.0.1:1" in result.stderr
    assert "gateway up" in result.stderr


def test_an_event_is_one_line() -> None:
    event = {
        "run_id": "r",
        "kind": "metrics",
        "time": 1_700_000_000_000_000,
        "series": [{"name": "loss", "points": [[1, 0, 0.5], [2, 0, 0.25]]}],
    }

    assert _event_line(event) == "2023-11-14 22:13:20 UTC  metrics  loss[2]=0.25 (2 points)"


HOSTILE = "a\x1b[31mred\x07\r\nInjected: yes"


def test_an_event_with_any_name_is_one_printable_line() -> None:
    series = [{"name": HOSTILE, "points": [[1, 0, 0.5]]}]

    assert _event_line({"kind": "tags", "time": 1, "tags": {HOSTILE: HOSTILE}, "series": series}).isprintable()


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_the_list_shows_times_in_utc_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    shown = {"run_id": "r", "name": HOSTILE, "state": "running", "started": 1_700_000_000_000_000, "group": HOSTILE}
    _print_page({"runs": [{**shown, "last": {HOSTILE: HOSTILE}}]}, is_narrowed=False)
    monkeypatch.undo()
    time.tzset()

    head, line = capsys.readouterr().out.splitlines()
    assert ("started (UTC)" in head, "2023-11-14 22:13" in line, line.isprintable()) == (True, True, True)


ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["runs", "list", "--help"],
        ["doctor"],
        ["logs", "дом"],
        ["runs", "show", "\x1b[31m🦆"],
        ["runs", "show", b"\xff"],
    ],
)
def test_a_terminal_without_utf_8_ends_no_command_in_a_traceback(home: Path, command: list[str | bytes]) -> None:
    done = subprocess.run(
        [*COMMAND, *command],
        env=environment(**ASCII, GATEWAY_HOME=str(home / "дом"), GATEWAY_LIVE_URL="http://127.0.0.1:1"),
        cwd=home.parent,
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert b"Traceback" not in done.stdout + done.stderr
    assert (done.stdout + done.stderr).isascii()
    assert b"\x1b" not in done.stdout + done.stderr
