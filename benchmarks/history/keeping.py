"""
Keep the figures of a run in the history: the option of every benchmark, and what it does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.history.entry import HISTORY, MACHINE, Entry, line_of
from benchmarks.history.figure import Figure
from benchmarks.machine import commit


def add_keep(parser: argparse.ArgumentParser) -> None:
    """Add the option --keep."""
    parser.add_argument(
        "--keep",
        type=Path,
        nargs="?",
        const=HISTORY,
        metavar="FILE",
        help="add the figures to the history, benchmarks/history.jsonl, or to another file",
    )


def keep(path: Path | None, facts: dict[str, Any], figures: Sequence[Figure]) -> None:
    """Append a run to the file that --keep names, if any; `facts` are those of `describe`. Exits without figures."""
    if path is None:
        return
    if not figures:
        raise SystemExit("benchmarks: nothing was measured, so nothing is kept")
    sha, dirty = commit()
    machine = {name: facts[name] for name in MACHINE}
    load = (facts["load_before"], facts["load_after"])
    time = datetime.now(UTC).isoformat(timespec="seconds")
    entry = Entry(time, sha, dirty, machine, facts["command"], facts["versions"], load, figures)
    line = line_of(entry)
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
