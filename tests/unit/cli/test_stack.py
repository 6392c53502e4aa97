"""`gateway up | down | logs` without a stack."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from gateway.cli import main

run = CliRunner().invoke


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
