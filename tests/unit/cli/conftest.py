"""Fixtures of the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that does not exist yet, for a command in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"
