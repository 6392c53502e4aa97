"""`gateway runs list | tail`: an API that does not answer, and events as lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import main
from gateway.cli.runs import _event_line

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

    assert _event_line(event).endswith("metrics  loss[2]=0.25 (2 points)")
