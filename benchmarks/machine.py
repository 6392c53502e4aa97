"""The machine and versions of a measurement, as text for a caption."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.catalogue import Peer

ROOT = Path(__file__).parents[1]
PLACES = {"--write-docs": 0, "--json": 1, "--keep": 1, "--cache": 1, "--other": 1}  # option: values it may have


def command_of(start: str, words: Sequence[str]) -> str:
    """Return the command that repeats a measurement: without options that only name places, such as --keep FILE."""
    kept, skipped = [start], 0
    for word in words:
        option, has_value, _ = word.partition("=")
        if option in PLACES:
            skipped = 0 if has_value else PLACES[option]
        elif skipped and not word.startswith("-"):
            skipped -= 1
        else:
            skipped = 0
            kept.append(word)
    return " ".join(kept)


def describe(command: str, peers: Iterable[Peer], loads: tuple[float, float], seconds: float) -> dict[str, Any]:
    """Return the facts of a run: machine, versions, commit, and the load average before and after."""
    return {
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": sorted({requirement for peer in peers for requirement in peer.requirements}),
        "load_before": round(loads[0], 2),
        "load_after": round(loads[1], 2),
        "seconds": round(seconds),
    }


def caption(facts: dict[str, Any]) -> str:
    """Return the facts as a paragraph of Markdown."""
    versions = ", ".join(str(version).replace("==", " ") for version in facts["versions"])
    return (
        f"Made by `{facts['command']}` in {facts['seconds']} s on {facts['date']}, commit {facts['commit']}: "
        f"{facts['cores']} cores ({facts['cpu']}), {facts['memory_gib']} GiB, {facts['system']}, "
        f"Python {facts['python']}; {versions or 'no peers'}. Load average over one minute: {facts['load_before']} "
        f"before, {facts['load_after']} after (of {facts['cores']} cores; the benchmark itself is part of the second)."
    )


def load() -> float:
    """Return the load average over one minute."""
    return os.getloadavg()[0]


def commit(tree: Path = ROOT) -> tuple[str, bool]:
    """Return the commit of a tree, "unknown" outside of git, and whether the tree has changes that are not in it."""
    try:
        changed = _git(tree, "status", "--porcelain", "--", "gateway", "schemas", "consumers", "benchmarks/*.py")
        return _git(tree, "rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return "unknown", False


def _commit() -> str:
    sha, dirty = commit()
    return f"{sha[:8]} with uncommitted changes" if dirty else sha[:8]


def _git(tree: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(tree), *words], check=True, capture_output=True, text=True).stdout.strip()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
