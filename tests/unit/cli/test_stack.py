"""`gateway up | down | logs` without a stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import main
from gateway.local.demo.report import print_next_steps

run = CliRunner().invoke


def test_down_of_a_home_that_never_ran_is_no_error(home: Path) -> None:
    result = run(main.app, ["down", "--json", "--home", str(home)])

    assert (result.exit_code, json.loads(result.stdout)) == (0, {"home": str(home), "ended": False})
    assert not home.exists()


@pytest.mark.parametrize("number", ["http", "²", "0", "65536", "9" * 5_000, ""])
def test_a_port_that_is_not_a_number_is_refused(home: Path, number: str) -> None:
    result = run(main.app, ["up", "--port", f"live={number}", "--home", str(home)])

    assert result.exit_code == 2
    assert f"--port live={number} does not fit" in result.stderr


def test_advice_can_be_pasted_into_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    print_next_steps(Path("/a b/c"), "http://127.0.0.1:8700", keep=True, explicit=True)
    said = capsys.readouterr().out

    assert "gateway down --home '/a b/c'" in said
    assert "dashboard: http://127.0.0.1:8700" in said


def test_logs_of_a_stack_that_never_ran_say_what_to_do(home: Path) -> None:
    shown = run(main.app, ["logs", "--home", str(home)])

    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr == f"no logs in {home / 'logs'} yet: run `gateway up --home {home}`\n"


def test_logs_of_an_unknown_process_names_the_known_ones(home: Path) -> None:
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "kafka.log").write_text("hello\n")
    wrong = run(main.app, ["logs", "kafak", "--home", str(home)])
    right = run(main.app, ["logs", "kafka", "--home", str(home)])

    assert wrong.exit_code == 2
    assert "kafka" in wrong.stderr
    assert right.stdout == "hello\n"
