"""
The cost of a call and of a run: this client and its peers, side by side in one run.

    python benchmarks/emit.py --peers wandb,mlflow-file
    python benchmarks/emit.py --peers all --write-docs

Every tool does the same work in fresh processes. Each round measures all tools in turn, so that a machine that becomes
slower does so for all of them; docs/benchmarks.md explains each column.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from benchmarks.catalogue import OURS  # noqa: E402
from benchmarks.contestants import Contestant, options, prepared, report  # noqa: E402
from benchmarks.environments import Missing  # noqa: E402
from benchmarks.figures import Figures, emit_figures, figures_of  # noqa: E402
from benchmarks.history.keeping import keep  # noqa: E402
from benchmarks.machine import caption, command_of, describe, load  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.table import emit_table, replaced  # noqa: E402

DOCS = ROOT / "docs/benchmarks.md"
TIMEOUT_S = 180.0


def main() -> None:
    """Measure and print; write docs/benchmarks.md with --write-docs."""
    parser = options("Measure the cost of a call and of a run, compared with other trackers.")
    parser.add_argument("--calls", type=int, default=2_000, help="calls per run, unless --most-s ends it before")
    parser.add_argument("--least-s", type=float, default=0.3, help="seconds for which fast tools continue to call")
    parser.add_argument("--most-s", type=float, default=2.0, help="seconds after which slow tools stop calling")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=8, help="pairs of training blocks, without and with the tool")
    parser.add_argument("--steps", type=int, default=100, help="training steps per block")
    asked = parser.parse_args()
    begin, before = monotonic(), load()
    with scratch() as name, prepared(asked.peers, asked.cache, Path(name)) as (contestants, missing):
        ready = monotonic()
        rounds = _rounds(contestants, missing, Path(name), vars(asked))
        training = _train(contestants, missing, Path(name), vars(asked))
    report(f"prepared in {ready - begin:.0f} s, measured in {monotonic() - ready:.0f} s")
    measured = [
        figures_of(one.peer.name, rounds[one.peer.name], training[one.peer.name])
        for one in contestants
        if one.peer.name not in missing
    ]
    command = command_of("python benchmarks/emit.py", sys.argv[1:])
    facts = describe(command, asked.peers, (before, load()), monotonic() - ready)
    _publish(measured, missing, facts, as_json=asked.json, write=asked.write_docs)
    keep(asked.keep, facts, emit_figures(measured, OURS))
    raise SystemExit(1 if OURS in missing else 0)


def _rounds(
    contestants: list[Contestant], missing: dict[str, str], folder: Path, asked: dict[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Time calls, round by round through all tools; a tool that fails is added to `missing`."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    wanted = {key: asked[key] for key in ("calls", "least_s", "most_s")}
    for turn in range(asked["rounds"]):
        at = turn * len(contestants) // asked["rounds"]  # no tool is always first
        for one in contestants[at:] + contestants[:at]:
            own = folder / f"{one.peer.name}-{turn}"
            if one.peer.name not in missing:
                report(f"calls, round {turn + 1}: {one.peer.name}")
                try:
                    found[one.peer.name].append(one.measure("calls", own, timeout_s=TIMEOUT_S, **wanted))
                except Missing as error:
                    missing[one.peer.name] = str(error)
            shutil.rmtree(own, ignore_errors=True)
    return found


def _train(
    contestants: list[Contestant], missing: dict[str, str], folder: Path, asked: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    wanted = {"pairs": asked["pairs"], "steps": asked["steps"], "rest_s": 0.2}
    for one in contestants:
        if one.peer.name not in missing:
            report(f"training: {one.peer.name}")
            try:
                found[one.peer.name] = one.measure(
                    "train", folder / f"{one.peer.name}-training", timeout_s=TIMEOUT_S, **wanted
                )
            except Missing as error:
                missing[one.peer.name] = str(error)
    return found


def _publish(
    measured: list[Figures], missing: dict[str, str], facts: dict[str, Any], *, as_json: bool, write: bool
) -> None:
    content = f"{emit_table(measured, missing, OURS)}\n\n{caption(facts)}"
    if as_json:
        figures = [
            {**one._asdict(), **{part: getattr(one, part)._asdict() for part in ("one", "ten", "in_training")}}
            for one in measured
        ]
        print(json.dumps({"machine": facts, "figures": figures, "missing": missing}, indent=1))
    else:
        print(content)
    if write:
        DOCS.write_text(replaced(DOCS.read_text(encoding="utf-8"), "emit", content), encoding="utf-8")


if __name__ == "__main__":
    main()
