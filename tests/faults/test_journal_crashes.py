"""SIGKILL before every step of the journal's files: every emit that had returned is sent, once, by whoever comes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.client_harness import ROOT


@pytest.mark.parametrize("who", ["owner", "adopter"])
def test_killed_before_any_step_nothing_is_lost(who: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.journal_crashes", who, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["deaths"] > 25  # files of segments, cuts, locks and folders
    assert found["wrong"] == {}
