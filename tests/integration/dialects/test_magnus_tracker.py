"""A tracker that was written for magnus 0.5.1 is a destination of the log: one of a test, and MLflow's of Magnus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.delivery_process import Place, delivery, until_caught_up
from tests.support.log_author import Author, write
from tests.support.mlflow_service import MlflowServer
from tests.support.side_packages import ROOT, environment

SOURCE = ROOT / "tests" / "support" / "magnus_tracker"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which the tracker of the test is registered."""
    metadata = tmp_path / "site" / "lines-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lines\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[experiment_tracker]\nlines = lines_of_magnus:LinesOfMagnus\n")
    return metadata.parent


def test_it_passes_the_contract_suite_as_far_as_magnus_allows(
    magnus_packages: Path, mlflow_server: MlflowServer, installed: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-n0"]
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'suite'}", f"--rootdir={tmp_path}", str(SOURCE / "contract_of_magnus.py")],
        env=environment(magnus_packages, SOURCE, installed, MLFLOW_OF_TEST=mlflow_server.url),
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


async def test_a_delivery_hands_over_history_and_live_events(
    magnus_packages: Path, installed: Path, place: Place, tmp_path: Path
) -> None:
    defined = tmp_path / "trackers.yaml"
    defined.write_text(f"team:\n  type: magnus\n  config: {{tracker: lines, config: {{folder: {tmp_path}}}}}\n")
    path = environment(magnus_packages, SOURCE, installed)["PYTHONPATH"]
    variables = {"PYTHONPATH": path, "GATEWAY_TRACKERS_FILE": str(defined)}
    author = Author("r1")
    await write(place.kafka, place.topic, [author.start(tag="exp-a"), author.metrics("loss", [1.0, 0.5])])

    with delivery(place, "team", variables) as running:
        await until_caught_up(place, running, "team")
        await write(place.kafka, place.topic, [author.metrics("loss", [0.25], first_step=2, step_name="train")])
        await until_caught_up(place, running, "team")

    (file,) = tmp_path.glob("*.jsonl")
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        ["metric", "loss", 1.0, 0, "exp-a", "main"],
        ["metric", "loss", 0.5, 1, "exp-a", "main"],
        ["metric", "train/loss", 0.25, 2, "exp-a", "train"],
    ]
