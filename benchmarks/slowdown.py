"""
The slowdown of a training loop of about 1.5 ms a step that logs 3 scalars a step.

    python benchmarks/slowdown.py --json                 # this client and trackio, about 100 s
    python benchmarks/slowdown.py --peers none --json    # this client alone, about a minute

The last columns of emit.py, alone and with more pairs: run it before and after a change. `nothing` logs nothing: how
far its slowdown is from 1 is the noise of the machine. Every round measures each tool once, in a process of its own.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import quantiles
from time import monotonic
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from benchmarks.catalogue import CONTROL, OURS, chosen  # noqa: E402
from benchmarks.contestants import Contestant, options, prepared, report  # noqa: E402
from benchmarks.environments import Missing  # noqa: E402
from benchmarks.figures import Latency, combined, latency, slowdown, slowdown_figures  # noqa: E402
from benchmarks.history.figure import Figure, lower  # noqa: E402
from benchmarks.history.keeping import keep  # noqa: E402
from benchmarks.machine import caption, command_of, describe, load  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.table import markdown, number  # noqa: E402

TIMEOUT_S = 120.0
HEAD = (
    "tool",
    "slowdown",
    "middle half of the pairs",
    "in CPU time of the thread",
    "a call: p50 / p99 / max µs",
    "pairs",
)


class Slowdown(NamedTuple):
    """Figures of one tool."""

    name: str
    slowdown: float  # duration of training steps with the tool, divided by that without it: the median of all pairs
    low: float  # a quarter of the pairs is below
    high: float  # a quarter is above
    thread: float  # the slowdown in CPU time of the training thread: without waits for other threads and programs
    call: Latency  # with 3 scalars inside the loop
    pairs: int


def main() -> None:
    """Measure and print."""
    parser = options("Measure how much logging slows a training loop down.")
    parser.set_defaults(peers=chosen("trackio"))
    parser.add_argument("--rounds", type=int, default=3, help="processes of each tool")
    parser.add_argument("--pairs", type=int, default=8, help="of blocks in a process, without and with the tool")
    parser.add_argument("--steps", type=int, default=200, help="training steps of a block")
    asked = parser.parse_args()
    before = load()
    with scratch() as name, prepared([*asked.peers, CONTROL], asked.cache, Path(name)) as (contestants, missing):
        begin = monotonic()
        answers = _measured(contestants, missing, Path(name), vars(asked))
    found = [slowdown_of(tool, rounds) for tool, rounds in answers.items() if tool not in missing]
    command = command_of("python benchmarks/slowdown.py", sys.argv[1:])
    facts = describe(command, asked.peers, (before, load()), monotonic() - begin)
    if asked.json:
        figures = [{**one._asdict(), "call": one.call._asdict()} for one in found]
        print(json.dumps({"machine": facts, "figures": figures, "missing": missing}, indent=1))
    else:
        print(f"{slowdown_table(found, missing)}\n\n{caption(facts)}")
    keep(asked.keep, facts, _figures(found))
    raise SystemExit(1 if OURS in missing else 0)


def _measured(
    contestants: list[Contestant], missing: dict[str, str], folder: Path, asked: dict[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Return the answers of each tool; a tool that fails is added to `missing`."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    wanted = {"pairs": asked["pairs"], "steps": asked["steps"], "rest_s": 0.2}
    for turn in range(asked["rounds"]):
        for one in contestants:
            name = one.peer.name
            if name not in missing:
                report(f"training, round {turn + 1}: {name}")
                try:
                    answer = one.measure("train", folder / f"{name}-{turn}", timeout_s=TIMEOUT_S, **wanted)
                    found[name].append(answer)
                except Missing as error:
                    missing[name] = str(error)
    return found


def slowdown_of(name: str, rounds: list[dict[str, Any]]) -> Slowdown:
    """Combine the answers of the harness in all rounds."""
    pairs = [pair for one in rounds for pair in one["pairs_s"]]
    ratios = [logged / plain for plain, logged in pairs]
    low, _, high = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    calls = combined([latency(one["times_ns"], timer_ns=one["timer_ns"]) for one in rounds])
    thread = slowdown([pair for one in rounds for pair in one["thread_pairs_s"]])
    return Slowdown(name, slowdown(pairs), low, high, thread, calls, len(pairs))


def _figures(found: list[Slowdown]) -> list[Figure]:
    others = {one.name: one.call.p50 for one in found if one.name not in (OURS, CONTROL.name)}
    return [
        figure
        for one in found
        if one.name == OURS
        for figure in (
            *slowdown_figures(one.slowdown, one.thread),
            lower("in training, p50", one.call.p50, "µs", others, bound=1.6),
            lower("in training, p99", one.call.p99, "µs"),
        )
    ]


def slowdown_table(found: list[Slowdown], missing: dict[str, str]) -> str:
    """Return the table: a row per tool, then missing tools."""
    rows = [
        (
            one.name,
            f"{one.slowdown:.3f}",
            f"{one.low:.3f} to {one.high:.3f}",
            f"{one.thread:.3f}",
            " / ".join(map(number, one.call)),
            str(one.pairs),
        )
        for one in found
    ]
    rows += [(name, "missing", why, *[""] * (len(HEAD) - 3)) for name, why in missing.items()]
    return markdown(HEAD, rows)


if __name__ == "__main__":
    main()
