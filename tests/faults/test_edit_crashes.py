"""SIGKILL before every step of an edit of tracker files: after another delivery the files are as without the kill."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.edit_crashes import KINDS
from tests.support.client_harness import ROOT


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_killed_before_any_step_an_edit_takes_effect_once(kind: str, every: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.edit_crashes", kind, str(tmp_path), str(every)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {what: one["wrong"] for what, one in found.items()} == {"edits": {}, "delete": {}}
    assert found["edits"]["deaths"] > 50
    assert found["delete"]["deaths"] > 5
