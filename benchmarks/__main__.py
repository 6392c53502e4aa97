"""
The history of the benchmarks, which they write with --keep: compare two commits, and check for regressions.

    python -m benchmarks compare previous last
    python -m benchmarks compare 1a2b3c4d 5e6f7a8b --json
    python -m benchmarks check                         # the last run of each command against the one before it
    python -m benchmarks check --new FILE              # the runs in FILE against the history
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.history.comparison import compare, comparison_table, plain
from benchmarks.history.entry import HISTORY, BadHistory, Entry, read_history
from benchmarks.history.regressions import check_ratios
from benchmarks.history.selection import LAST, PREVIOUS, runs_of


def main(words: list[str] | None = None) -> int:
    """Run a command; returns 0, 1 when a ratio is worse than its bound, 2 when there is nothing to compare."""
    asked = _options().parse_args(words)
    try:
        return _compare(asked) if asked.command == "compare" else _check(asked)
    except (BadHistory, OSError) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2


def _compare(asked: argparse.Namespace) -> int:
    entries = read_history(asked.history)
    found = compare(runs_of(entries, asked.before), runs_of(entries, asked.after), asked.bound)
    print(json.dumps(plain(found), indent=1) if asked.json else comparison_table(found))
    return 0


def _check(asked: argparse.Namespace) -> int:
    new, history = _sides(asked)
    verdict = check_ratios(new, history, asked.bound)
    if asked.json:
        print(json.dumps(verdict._asdict(), indent=1))
        return 1 if verdict.failures else 0
    for text in (*verdict.passed, *verdict.failures):
        print(text)
    if verdict.failures:
        print("Ratios got worse than their bounds, or are missing: see above.", file=sys.stderr)
    return 1 if verdict.failures else 0


def _sides(asked: argparse.Namespace) -> tuple[list[Entry], list[Entry]]:
    history = read_history(asked.history)
    if asked.new is None:
        twice = runs_of(history, PREVIOUS)
        last = [entry for command, entry in runs_of(history, LAST).items() if command in twice]
        return last, [entry for entry in history if entry not in last]
    new = read_history(asked.new)
    if not new:
        raise BadHistory(f"{asked.new.name} has no run: measure with --keep {asked.new.name}")
    return new, history


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Read the history of the benchmarks.")
    commands = parser.add_subparsers(dest="command", required=True)
    comparing = commands.add_parser("compare", help="print the ratios and times of two commits in one table")
    which = f"a commit, the beginning of one, {LAST}, or {PREVIOUS}"
    comparing.add_argument("before", help=which)
    comparing.add_argument("after", help=which)
    comparing.add_argument("--bound", type=_bound, help="mark what is worse by this factor (default: of each figure)")
    checking = commands.add_parser("check", help="exit with 1 when a ratio is worse than its bound")
    checking.add_argument("--new", type=Path, metavar="FILE", help="check the runs in FILE (default: the last runs)")
    checking.add_argument("--bound", type=_bound, help="factor by which a ratio may be worse (default: of each figure)")
    for one in (comparing, checking):
        one.add_argument("--history", type=Path, default=HISTORY, metavar="FILE", help="another history")
        one.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _bound(text: str) -> float:
    bound = float(text)
    if not bound >= 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1: a bound is a factor, such as 1.25")
    return bound


if __name__ == "__main__":
    sys.exit(main())
