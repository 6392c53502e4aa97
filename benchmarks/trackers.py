"""
Replay a whole history into every tracker, verify it, and compare the speed with the tracker's own bulk call.

    python benchmarks/trackers.py --runs 20                       # a smoke test, a few minutes
    python benchmarks/trackers.py --json trackers.json            # 1,000 runs, 10 million points
    python benchmarks/trackers.py --only mlflow --kills 50        # replay killed, server disturbed, then verified
    python benchmarks/trackers.py --down 60                       # one tracker away: the lag of the others

Real Kafka, real PostgreSQL, real commands, all on this machine. Failures are listed with the reason, and the rest
continues.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, strftime
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the tree this file belongs to, whatever is installed

import asyncpg  # noqa: E402

from benchmarks.ceilings import CALLS, LEAST_RUNS, SHARES  # noqa: E402
from benchmarks.environments import Missing  # noqa: E402
from benchmarks.filled_log import Log, fill, fold, running_log  # noqa: E402
from benchmarks.finished_runs import Shape, records  # noqa: E402
from benchmarks.history.keeping import add_keep, keep  # noqa: E402
from benchmarks.machine import caption, command_of, describe, load  # noqa: E402
from benchmarks.processes import scratch  # noqa: E402
from benchmarks.replays import replay, verify  # noqa: E402
from benchmarks.table import replaced  # noqa: E402
from benchmarks.targets import TRACKERS, Target, empty_target  # noqa: E402
from benchmarks.trackers_table import trackers_figures, trackers_table  # noqa: E402
from benchmarks.watched import Watched  # noqa: E402
from schemas.errors import TrackingError  # noqa: E402

FAILURES = (Missing, TrackingError, OSError, asyncpg.PostgresError, ArithmeticError, LookupError, ValueError)
DOCS = ROOT / "docs/benchmarks.md"
CEILINGS = Path(__file__).with_name("ceilings.py")


def main() -> None:
    """Measure the selected parts, report progress, and print a table."""
    asked = _options().parse_args()
    command = command_of("python benchmarks/trackers.py", sys.argv[1:])
    found = Findings(asked.json, describe(command, (), (load(), load()), 0) | {"versions": _versions()})
    try:
        with scratch() as name:
            _measure(asked, Path(name), found)
    finally:
        content = f"{trackers_table(found.content)}\n\n{caption(found.content['machine'])}"
        print(content)
    if asked.write_docs:
        part = "one-down" if asked.down else "replay-kills" if asked.kills else "trackers"
        DOCS.write_text(replaced(DOCS.read_text(encoding="utf-8"), part, content), encoding="utf-8")
    keep(asked.keep, found.content["machine"], trackers_figures(found.content))
    raise SystemExit(0 if found.is_good() else 1)


class Findings:
    """The findings so far, saved to a file after each part."""

    def __init__(self, path: Path | None, machine: dict[str, Any]) -> None:
        self._path, self._began = path, monotonic()
        self.content: dict[str, Any] = {"machine": machine, "log": {}, "trackers": {}, "down": {}}

    def add(self, *path: str, value: Any) -> None:
        """Save one finding under a path of keys."""
        part = self.content
        for key in path[:-1]:
            part = part.setdefault(key, {})
        part[path[-1]] = value
        self.content["machine"] |= {"seconds": round(monotonic() - self._began), "load_after": round(load(), 2)}
        if self._path is not None:
            new = self._path.with_name(f"{self._path.name}.new")
            new.write_text(json.dumps(self.content, indent=1, default=str), encoding="utf-8")
            new.replace(self._path)

    def is_good(self) -> bool:
        """Return True if every part succeeded and verify found no difference."""
        parts = self.content["trackers"].values()
        proofs = [one["verify"]["is_equal"] for one in parts if "verify" in one]
        return all(proofs) and not any("missing" in one for one in parts) and "missing" not in self.content

    def report(self, text: str) -> None:
        """Print progress on stderr, with the time."""
        print(f"{strftime('%H:%M:%S')} {monotonic() - self._began:7.1f} s  {text}", file=sys.stderr, flush=True)


def _measure(asked: argparse.Namespace, folder: Path, found: Findings) -> None:
    shape = Shape(asked.runs, asked.series, asked.points)
    try:
        if asked.down:
            from benchmarks.one_down import measure_down

            found.add("down", value=measure_down(folder, asked.down, asked.rate, found.report))
            return
        found.report("starting Kafka and PostgreSQL")
        with running_log(folder / "log") as log:
            _prepare(log, shape, folder, found)
            for name in asked.only:
                _one(asked, log, name, shape, folder, found)
    except FAILURES as error:
        found.add("missing", value=f"{type(error).__name__}: {error}")
        found.report(f"cannot continue: {error}")


def _prepare(log: Log, shape: Shape, folder: Path, found: Findings) -> None:
    found.report(f"writing {shape.all_points:,} points of {shape.runs + shape.odd_runs:,} runs")
    began = monotonic()
    count = fill(log, records(shape), found.report)
    written = monotonic() - began
    folded = fold(log, count, folder / "materialiser", found.report)
    facts = {"runs": shape.runs + shape.odd_runs, "records": count, "points": shape.all_points}
    found.add("log", value={**facts, "write_s": written, "fold_s": folded, "shape": shape._asdict()})
    found.report(f"{count:,} records written in {written:.0f} s and folded in {folded:.0f} s")


def _one(asked: argparse.Namespace, log: Log, name: str, shape: Shape, folder: Path, found: Findings) -> None:
    def report(text: str) -> None:
        found.report(f"{name}: {text}")

    try:
        with empty_target(name, folder / name) as target:
            if asked.kills:
                from benchmarks.replay_kills import Kills, killed_replay

                wanted = Kills(asked.kills, asked.seed, shape.all_points)
                counted = killed_replay(log, target, folder / f"{name}-home", wanted, report)
                found.add("trackers", name, "kills", value=counted)
            else:
                _replay(log, target, folder, found, report)
            if not asked.no_verify:
                report("verifying")
                proved = verify(log, target, folder / f"{name}-home", report)
                found.add("trackers", name, "verify", value=proved._asdict())
                report(f"verify: {_verdict(proved)}, {proved.seconds:.0f} s")
        if not (asked.no_own or asked.kills):
            _own(name, shape, folder, found, report)
    except FAILURES as error:
        found.add("trackers", name, "missing", value=f"{type(error).__name__}: {error}")
        report(f"failed: {error}")


def _replay(log: Log, target: Target, folder: Path, found: Findings, report: Callable[[str], None]) -> None:
    report("replaying")
    done = replay(log, target, folder / f"{target.name}-home", report)
    found.add("trackers", target.name, "replay", value={**done._asdict(), "points_per_s": done.points_per_s})
    speed = f"{done.points_per_s:,.0f} points/s"
    report(f"{done.points:,} points in {done.seconds:.1f} s: {speed}, {done.peak_mib:.0f} MiB")


def _verdict(proved: Any) -> str:
    if proved.is_equal:
        return f"all {proved.points:,} points are there once"
    return f"{len(proved.differences):,} differences, the first: {(proved.differences or ['?'])[0][:300]}"


def _own(name: str, shape: Shape, folder: Path, found: Findings, report: Callable[[str], None]) -> None:
    """Measure the tracker's own bulk call, on a part of the history."""
    part = shape._replace(runs=min(shape.runs, max(LEAST_RUNS, round(shape.runs * SHARES[name]))))
    report(f"its own call, {part.runs} runs: {CALLS[name]}")
    with empty_target(name, folder / f"{name}-own") as target:
        request: dict[str, Any] = {"tracker": name, "shape": part, "folder": str(target.folder / "held")}
        request["url"] = target.url
        running = Watched([sys.executable, str(CEILINGS), json.dumps(request)], {}, folder / f"{name}-home", "own")
        try:
            ended = running.wait(report)
        finally:
            running.kill()
    answer = ended.document()
    if not answer:
        raise Missing(f"its own call ended with status {ended.status}: {ended.last_words()}")
    speed = answer["points"] / answer["seconds"]
    found.add("trackers", name, "own", value={**answer, "points_per_s": speed, "runs": part.runs, "call": CALLS[name]})
    report(f"its own call: {speed:,.0f} points/s")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Replay a history into every tracker and verify it.")
    parser.add_argument("--runs", type=int, default=1_000, help="trainings (default: 1,000)")
    parser.add_argument("--series", type=int, default=50, help="series per training (default: 50)")
    parser.add_argument("--points", type=int, default=200, help="points per series (default: 200)")
    parser.add_argument("--only", type=_names, default=TRACKERS, help="trackers, separated by commas")
    parser.add_argument("--kills", type=int, default=0, help="number of SIGKILLs of the replay, with faults injected")
    parser.add_argument("--seed", type=int, default=7, help="seed for the times and faults of --kills")
    parser.add_argument("--down", type=float, default=0.0, help="instead: seconds of live load with and without MLflow")
    parser.add_argument("--rate", type=float, default=5_000.0, help="points per second of --down (default: 5,000)")
    parser.add_argument("--no-verify", action="store_true", help="do not read back")
    parser.add_argument("--no-own", action="store_true", help="do not measure the trackers' own calls")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/benchmarks.md")
    add_keep(parser)
    parser.add_argument("--json", type=Path, help="file for all figures, written after each part")
    return parser


def _names(text: str) -> tuple[str, ...]:
    wanted = tuple(text.split(","))
    if unknown := sorted(set(wanted) - set(TRACKERS)):
        raise argparse.ArgumentTypeError(f"unknown trackers {', '.join(unknown)}: choose among {', '.join(TRACKERS)}")
    return wanted


def _versions() -> list[str]:
    names = ("mlflow-skinny", "pyarrow", "tensorboard", "trackio", "wandb")
    return [f"{name}=={version(name)}" for name in names if find_spec(name.partition("-")[0])]


if __name__ == "__main__":
    main()
