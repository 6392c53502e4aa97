"""`gateway doctor`: each problem with its next step, and no passwords."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import main

run = CliRunner().invoke


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_doctor_names_an_unknown_setting_and_continues(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_KAFAK", "broker:9092")
    result = run(main.app, ["doctor", "--json", "--home", str(home)])
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}

    assert result.exit_code == 1
    assert "GATEWAY_KAFAK" in checks["settings"]["detail"]
    assert checks["java"]["ok"]


def test_doctor_looks_at_the_file_of_tokens_and_at_the_pages(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "tokens.json").write_text("{")
    (home / "tokens.json").chmod(0o600)
    result = run(main.app, ["doctor", "--json", "--home", str(home)])
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}

    assert (result.exit_code, checks["tokens"]["ok"]) == (1, False)
    assert "damaged" in checks["tokens"]["detail"]
    assert (checks["dashboard"]["ok"], "pages" in checks["dashboard"]["detail"]) == (True, True)


@pytest.mark.parametrize(
    "password", ["hunter2", "hun ter2", "hun#ter2", "hun/ter2", "hun?ter2", "hun[ter2", "h:un@ter2"]
)
@pytest.mark.parametrize(
    ("name", "address"),
    [("POSTGRES", "postgresql://me:{}@127.0.0.1:1/db"), ("MLFLOW_URL", "http://me:{}@127.0.0.1:1/db")],
)
def test_doctor_shows_no_part_of_a_password(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, address: str, password: str
) -> None:
    monkeypatch.setenv(f"GATEWAY_{name}", address.format(password))
    result = run(main.app, ["doctor", "--home", str(home)])

    assert result.exit_code == 1
    assert result.stdout.count("me:***@127.0.0.1:1") == 2  # the setting, and its check
    assert ("hun" in result.output, "ter2" in result.output) == (False, False)
