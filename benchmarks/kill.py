"""
What remains after SIGKILL: this client and its peers, side by side in one run.

    python benchmarks/kill.py --peers wandb,trackio

A process logs rows of one scalar and is killed when the last call has returned: once right after a burst, once after
a calm pace. Then the rows are read back, with the tool's own reader if it has one. A third process logs the same burst
and finishes: reading its rows back shows that the reader works.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from benchmarks.catalogue import OURS  # noqa: E402
from benchmarks.contestants import Contestant, options, prepared, report  # noqa: E402
from benchmarks.environments import Missing  # noqa: E402
from benchmarks.history.figure import Figure, higher  # noqa: E402
from benchmarks.history.keeping import keep  # noqa: E402
from benchmarks.machine import caption, command_of, describe, load  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.table import KILL_HEAD, kill_table, replaced  # noqa: E402

DOCS = ROOT / "docs/benchmarks.md"
TIMEOUT_S = 120.0
BURST, CALM = 2_000, 300  # rows
CASES: dict[str, dict[str, Any]] = {
    "burst": {"rows": BURST, "pause_s": 0.0, "kill": True},
    "calm": {"rows": CALM, "pause_s": 0.01, "kill": True},
    "finished": {"rows": BURST, "pause_s": 0.0, "kill": False},
}


def main() -> None:
    """Kill, read back and print; write docs/benchmarks.md with --write-docs."""
    asked = options("Measure what remains of a run after SIGKILL, compared with other trackers.").parse_args()
    before = load()
    found: dict[str, dict[str, int]] = {}
    with scratch() as name, prepared(asked.peers, asked.cache, Path(name)) as (contestants, missing):
        begin = monotonic()
        for one in contestants:
            report(f"SIGKILL: {one.peer.name}")
            try:
                found[one.peer.name] = {case: _kept(one, Path(name) / one.peer.name, case) for case in CASES}
            except Missing as error:
                missing[one.peer.name] = str(error)
    command = command_of("python benchmarks/kill.py", sys.argv[1:])
    facts = describe(command, asked.peers, (before, load()), monotonic() - begin)
    durable = {peer.name: peer.durable for peer in asked.peers}
    rows = [[name, *map("{:,}".format, kept.values()), durable[name]] for name, kept in found.items()]
    rows += [[name, "missing", why, *[""] * (len(KILL_HEAD) - 3)] for name, why in missing.items()]
    content = f"{kill_table(rows)}\n\n{caption(facts)}"
    print(json.dumps({"machine": facts, "kept": found, "missing": missing}, indent=1) if asked.json else content)
    if asked.write_docs:
        DOCS.write_text(replaced(DOCS.read_text(encoding="utf-8"), "kill", content), encoding="utf-8")
    keep(asked.keep, facts, _figures(found.get(OURS, {})))
    raise SystemExit(1 if OURS in missing else 0)


def _kept(one: Contestant, folder: Path, case: str) -> int:
    """Return how many rows can be read back. Raises Missing when not all calls returned or nothing can be read."""
    own = folder / case
    returned = one.measure("rows", own, timeout_s=TIMEOUT_S, **CASES[case])["returned"]
    assert returned == CASES[case]["rows"]
    kept = int(one.measure("read", own, timeout_s=TIMEOUT_S)["kept"])
    shutil.rmtree(own, ignore_errors=True)
    return kept


def _figures(kept: dict[str, int]) -> list[Figure]:
    """Return ours: each row that is lost is a regression."""
    return [
        higher(f"rows kept, {case}", rows, "rows", {"all rows": CASES[case]["rows"]}, bound=1.0)
        for case, rows in kept.items()
    ]


if __name__ == "__main__":
    main()
