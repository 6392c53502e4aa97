"""`gateway artifacts`: help, and what is wrong in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import main

run = CliRunner().invoke
UNREACHABLE = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GATEWAY_LIVE_URL", UNREACHABLE)


@pytest.mark.parametrize("command", ["list", "download", "log", "delete"])
def test_help_has_examples(command: str) -> None:
    shown = run(main.app, ["artifacts", command, "--help"]).stdout

    assert f"Examples: gateway artifacts {command} RUN" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["list", "r"], f"the API at {UNREACHABLE} cannot be reached"),
        (["download", "r", "a"], f"the API at {UNREACHABLE} cannot be reached"),
        (["delete", "r", "a"], "confirmation is needed, and stdin is not a terminal: add --yes"),
        (["delete", "r", "a", "--yes"], f"the API at {UNREACHABLE} cannot be reached"),
        (["log", "r", "a"], "no artifact store is set: set GATEWAY_ARTIFACTS"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], answer: str) -> None:
    result = run(main.app, ["artifacts", *arguments])

    lines = result.stderr.splitlines()
    assert (result.exit_code, len(lines)) == (2, 1), result.output
    assert answer in lines[0]
