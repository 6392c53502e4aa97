"""`gateway demo` as a new user runs it: its numbers, its JSON, and the end of every process after an interrupt."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.__main__ import documents
from tests.support.gateway_command import COMMAND, environment, gateway
from tests.support.process_tree import processes_of, until

PLACES = ["emitted", "postgresql", "mlflow", "wandb"]


@pytest.fixture(scope="module")
def demo(session_folder: Path) -> tuple[dict[str, Any], str, Path]:
    home = session_folder / "demo"
    done = gateway("demo", "--json", "--home", str(home))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr, home


def test_every_place_holds_the_same_runs_points_params_and_checksum(demo: tuple[dict[str, Any], str, Path]) -> None:
    facts, _, _ = demo

    assert list(facts["places"]) == PLACES
    assert len({json.dumps(place) for place in facts["places"].values()}) == 1
    assert facts["agree"] is True
    assert facts["places"]["emitted"]["runs"] == 4
    assert facts["places"]["emitted"]["points"] > 700


def test_one_run_failed_and_the_others_finished(demo: tuple[dict[str, Any], str, Path]) -> None:
    facts, _, _ = demo
    states = {run["name"]: run["state"] for run in facts["runs"]}

    assert states == {
        "digits-slow": "finished",
        "digits-steady": "finished",
        "digits-eager": "finished",
        "digits-reckless": "failed",
    }


def test_the_run_log_fits_its_published_schema_and_has_the_names_of_the_seeds(
    demo: tuple[dict[str, Any], str, Path],
) -> None:
    log = demo[0]["run_log"]
    step = log["steps"]["main"]

    jsonschema.validate(log, documents()["run_log.json"])
    assert list(log)[:9] == [
        "run_id", "dag_hash", "use_cached", "tag", "original_run_id", "status", "steps", "parameters", "run_config",
    ]  # fmt: skip
    assert list(step) == [
        "name", "internal_name", "status", "step_type", "message", "mock", "code_identities", "attempts",
        "user_defined_metrics", "branches", "data_catalog",
    ]  # fmt: skip
    assert list(step["attempts"][0]) == [
        "attempt_number", "start_time", "end_time", "duration", "status", "message", "parameters",
    ]  # fmt: skip
    assert len(step["user_defined_metrics"]["train/loss"]) == 230


def test_it_says_what_it_does_and_leaves_no_process(demo: tuple[dict[str, Any], str, Path]) -> None:
    _, output, home = demo

    assert [line[:2] for line in output.splitlines() if line[:2] in ("1.", "2.", "3.")] == ["1.", "2.", "3."]
    assert processes_of(home) == []


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_an_interrupted_demo_leaves_no_process(
    demo: tuple[dict[str, Any], str, Path], number: signal.Signals, tmp_path: Path
) -> None:
    home = demo[2]  # whose second start is quick
    with (tmp_path / "output").open("wb") as output:
        started = subprocess.Popen(
            [*COMMAND, "demo", "--home", str(home)],
            stdout=output,
            stderr=output,
            env=environment(),
            start_new_session=True,
        )
        until(lambda: b"2. Training" in (tmp_path / "output").read_bytes(), "the demo trains")
        assert len(processes_of(home)) > 8
        started.send_signal(number)
        status = started.wait(150)

    assert status == (-number if number == signal.SIGKILL else 130)
    until(lambda: processes_of(home) == [], "every process of the demo is gone")
