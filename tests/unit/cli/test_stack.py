"""`gateway up | down | status | logs` without a stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import main
from gateway.cli.stack import _print_consumers

run = CliRunner().invoke


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_status_of_a_home_that_never_ran(home: Path) -> None:
    result = run(main.app, ["status", "--json", "--home", str(home)])

    assert json.loads(result.stdout) == {
        "running": False,
        "home": str(home),
        "addresses": {},
        "services": {},
        "lag": None,
        "dead_letters": None,
        "newest_dead_letter": None,
        "deliveries": None,
        "supervisor": None,
    }


def test_down_of_a_home_that_never_ran_is_no_error(home: Path) -> None:
    result = run(main.app, ["down", "--json", "--home", str(home)])

    assert (result.exit_code, json.loads(result.stdout)) == (0, {"home": str(home), "ended": False})
    assert not home.exists()


def test_a_port_that_is_not_a_number_is_refused(home: Path) -> None:
    result = run(main.app, ["up", "--port", "live=http", "--home", str(home)])

    assert result.exit_code == 2
    assert "--port live=http" in result.stderr


def test_logs_of_an_unknown_process_names_the_known_ones(home: Path) -> None:
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "kafka.log").write_text("hello\n")
    wrong = run(main.app, ["logs", "kafak", "--home", str(home)])
    right = run(main.app, ["logs", "kafka", "--home", str(home)])

    assert wrong.exit_code == 2
    assert "kafka" in wrong.stderr
    assert right.stdout == "hello\n"


def test_status_names_the_newest_parked_record_and_masks_what_could_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    newest = {"id": "log:0:7", "run": "r", "kind": "NotAnEvent", "reason": "ce_type '[red]\x1b[2J'", "time": 0}

    _print_consumers({"lag": [], "dead_letters": 3, "newest_dead_letter": newest, "deliveries": []})

    shown = capsys.readouterr().out
    assert shown == (
        "dead letters: 3, newest log:0:7 (NotAnEvent: ce_type '[red]?[2J'): see `gateway dead-letters list`\n"
    )


def test_status_masks_what_could_steer_the_terminal_in_the_error_of_a_tracker(
    capsys: pytest.CaptureFixture[str],
) -> None:
    delivery = {"tracker": "mlflow", "state": "running", "runs": 1, "parked": 1, "last_error": "no\x1b[2J such run"}

    _print_consumers({"lag": [], "dead_letters": None, "newest_dead_letter": None, "deliveries": [delivery]})

    assert "last error: no?[2J such run: see `gateway trackers show mlflow`" in capsys.readouterr().out
