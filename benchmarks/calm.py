"""
Many calm trainings: CPU time a point of each part, and the lag from emit to queryable.

    python benchmarks/calm.py --json     # 64 processes, 50,000 points/s together, about 50 s

One row of what ingest.py measures, alone: run it before and after a change.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

from benchmarks.contestants import report  # noqa: E402
from benchmarks.flow import Load, Pace, measure_pace  # noqa: E402
from benchmarks.history.keeping import add_keep, keep  # noqa: E402
from benchmarks.ingest_tables import Found, ingest_tables, pace_figures  # noqa: E402
from benchmarks.machine import caption, command_of, describe, load  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.reference import reference_us  # noqa: E402
from benchmarks.system import running_system  # noqa: E402


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure CPU time and lag of many calm trainings.")
    parser.add_argument("--processes", type=int, default=64)
    parser.add_argument("--rate", type=float, default=50_000.0, help="points/s of all processes together")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long they emit")
    parser.add_argument("--settle-s", type=float, default=3.0, help="at the start, which the measured rate leaves out")
    parser.add_argument("--json", action="store_true", help="print figures and machine as JSON instead of a table")
    add_keep(parser)
    asked = parser.parse_args()
    before, reference = load(), reference_us()
    with scratch() as name, running_system(Path(name) / "system") as system:
        begin = monotonic()
        report(f"{asked.processes} processes, {asked.seconds:.0f} s")
        wanted = Load("steady", asked.processes, asked.seconds, rate=asked.rate)
        pace = asyncio.run(measure_pace(system, wanted, Path(name), report, settle_s=asked.settle_s))
    facts = describe(command_of("python benchmarks/calm.py", sys.argv[1:]), (), (before, load()), monotonic() - begin)
    print(json.dumps(_plain(pace, facts), indent=1) if asked.json else _text(pace, facts))
    keep(asked.keep, facts, pace_figures("steady", pace, reference))


def _plain(pace: Pace, facts: dict[str, object]) -> dict[str, object]:
    lag = dict(zip(("p50", "p95", "p99", "max"), pace.lag_ms, strict=True))
    return {"machine": facts, "figures": {**pace._asdict(), "lag_ms": lag, "all_cpu_us": sum(pace.cpu_us.values())}}


def _text(pace: Pace, facts: dict[str, object]) -> str:
    return f"{ingest_tables(Found(steady=pace), {}, '')}\n\n{caption(facts)}"


if __name__ == "__main__":
    main()
