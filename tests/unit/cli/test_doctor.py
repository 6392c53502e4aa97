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


def test_doctor_shows_no_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_POSTGRES", "postgresql://me:hunter2@127.0.0.1:1/db")
    result = run(main.app, ["doctor", "--home", str(home)])

    assert result.exit_code == 1
    assert "me:***@127.0.0.1:1" in result.stdout
    assert "hunter2" not in result.output
