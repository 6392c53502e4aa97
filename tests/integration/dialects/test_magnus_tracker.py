"""A tracker that was written for magnus 0.5.1 is a destination of the log: one of a test, and MLflow's of Magnus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.mlflow_service import MlflowServer
from tests.support.side_packages import ROOT, environment

SOURCE = ROOT / "tests" / "support" / "magnus_tracker"


def test_it_passes_the_contract_suite_as_far_as_magnus_allows(
    magnus_packages: Path, mlflow_server: MlflowServer, tmp_path: Path
) -> None:
    installed = tmp_path / "site" / "lines-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lines\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[experiment_tracker]\nlines = lines_of_magnus:LinesOfMagnus\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-n0"]
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'suite'}", f"--rootdir={tmp_path}", str(SOURCE / "contract_of_magnus.py")],
        env=environment(magnus_packages, SOURCE, installed.parent, MLFLOW_OF_TEST=mlflow_server.url),
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
