"""`gateway import magnus --dry-run`: everything is read and checked, and nothing is needed to write to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from tests.support.run_logs import SEEDS, run_log, step


def test_a_dry_run_reports_each_run_log_and_names_what_fails(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(run_log(step("a", user_defined_metrics={"x": 1}))))
    (tmp_path / "cut.json").write_text("{")
    answer = CliRunner().invoke(app, ["import", "magnus", str(tmp_path), str(tmp_path / "none"), "--dry-run", "--json"])
    found = json.loads(answer.stdout)["run_logs"]

    assert answer.exit_code == 2
    assert [(Path(one["file"]).name, one["state"], one["events"], one["points"]) for one in found] == [
        ("cut.json", "failed", 0, 0),
        ("good.json", "read", 8, 1),
        ("none", "failed", 0, 0),
    ]
    assert [line.count(str(tmp_path)) for line in answer.stderr.splitlines()] == [1, 1]


def test_a_folder_of_run_logs_is_summarised_in_one_line() -> None:
    answer = CliRunner().invoke(app, ["import", "magnus", str(SEEDS), "--dry-run"])

    assert (answer.exit_code, answer.stderr) == (0, "")
    assert answer.stdout.endswith("nothing is written\n")
    assert answer.stdout.startswith("3 run logs: 3 read (")


def test_a_file_name_or_a_text_in_a_file_adds_no_line(tmp_path: Path) -> None:
    (tmp_path / "a\n\x1b[31m.json").write_text(json.dumps({"run_id": "r", "steps": {}, "x\ninjected": 1}))
    answer = CliRunner().invoke(app, ["import", "magnus", str(tmp_path), "--dry-run"])

    assert len(answer.stderr.splitlines()) == 1
    assert answer.stderr.rstrip("\n").isprintable()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "\x00", "x" * 300])
def test_a_time_zone_that_does_not_exist_is_one_error(zone: str) -> None:
    answer = CliRunner().invoke(app, ["import", "magnus", "r.json", "--timezone", zone, "--dry-run"])

    assert answer.exit_code == 2
    assert "is no time zone: give one such as Europe/Berlin" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
