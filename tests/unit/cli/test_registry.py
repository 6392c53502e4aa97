"""`gateway experiments`, `models` and `views`: what is wrong is one line before any request is written."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from gateway.cli import main
from gateway.cli.registry import experiments, models, shared, views

run = CliRunner().invoke
UNREACHABLE = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_HOME", str(tmp_path))
    monkeypatch.setenv("GATEWAY_URL", f"kafka://{UNREACHABLE}")
    monkeypatch.setenv("GATEWAY_LIVE_URL", f"http://{UNREACHABLE}")


def names(group: object) -> list[str]:
    return [one.name or one.callback.__name__ for one in group.registered_commands]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "command",
    [
        (group, name)
        for group, module in (("experiments", experiments), ("models", models), ("views", views))
        for name in names(module.app)
    ],
)
def test_help_has_examples(command: tuple[str, str]) -> None:
    shown = " ".join(run(main.app, [*command, "--help"], terminal_width=200).stdout.split())

    assert f"gateway {' '.join(command)}" in shown.partition("Examples:")[2]
    assert "--json" in shown


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["experiments", "create", ""], "the name of an experiment is empty: give one"),
        (["experiments", "create", "é" * 513], "has 513 characters and 1,026 bytes, and may have 1,024 and 1,024"),
        (["experiments", "create", "\udcff"], "the name of an experiment is not UTF-8"),
        (["experiments", "create", "x", "--id", "i" * 257], "the id of an experiment has 257 characters"),
        (["experiments", "create", "x", "--tag", "team"], "'team' is not a tag: write KEY=VALUE"),
        (["experiments", "tag", "x"], "no tag is given: write KEY=VALUE, or --delete KEY"),
        (["experiments", "show", ""], "the id or name of an experiment is empty"),
        (["experiments", "list"], f"the API at http://{UNREACHABLE} cannot be reached"),
        (["models", "create-version", "x", "s", "--run", "r" * 1_025], "run_id has 1,025 characters"),
        (["models", "stage", "x", "1", "Live"], "stage 'Live' is not known: give one of None, Staging, Production"),
        (["models", "stage", "x", "0", "Staging"], "version 0 is no number of a version: give an integer from 1"),
        (["models", "alias", "x", "best"], "give either a version or --delete"),
        (["models", "alias", "x", "best", "3", "--delete"], "give either a version or --delete"),
        (["models", "tag", "x"], "no tag is given"),
        (["models", "delete", "x"], "confirmation is needed, and stdin is not a terminal: add --yes"),
        (["models", "resolve", "models:/x"], "does not name a version of a model: write models:/NAME/VERSION"),
        (["views", "show", ""], "the id is empty"),
        (["views", "save", "v", "none.json"], "none.json cannot be read as JSON"),
        (["views", "list"], f"the API at http://{UNREACHABLE} cannot be reached"),
        (["views", "delete", "v", "--timeout-s", "0.2"], f"Kafka at {UNREACHABLE} cannot be reached"),
        (["models", "register", "x", "--timeout-s", "0.2"], f"Kafka at {UNREACHABLE} cannot be reached"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: list[str], answer: str) -> None:
    result = run(main.app, arguments)

    assert (result.exit_code, result.stdout) == (2, "")
    assert answer in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_request_needs_an_address_and_a_read_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "none:")

    assert "no address to send to" in run(main.app, ["models", "register", "x"]).stderr
    assert "cannot be reached" in run(main.app, ["models", "list"]).stderr


def test_completion_is_silent_without_a_server() -> None:
    line = SimpleNamespace(params={"home": None})

    assert shared.complete_experiment(line, "d") == shared.complete_model(line, "d") == []
