"""SIGKILL before every step on the journal's files: the next process sends every emit that had returned, once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.client_harness import ROOT


@pytest.mark.parametrize("role", ["owner", "adopter", "granter"])
def test_killed_before_any_step_nothing_is_lost(role: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.journal_crashes", role, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["deaths"] > 25  # segments, cursors, locks and folders
    assert found["wrong"] == {}
