"""
Decide whether ratios got worse than their bounds. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.history.comparison import Change, compare, not_measured
from benchmarks.history.entry import Entry
from benchmarks.history.selection import baseline_of


class Verdict(NamedTuple):
    """What a check found, a sentence each."""

    failures: Sequence[str]
    passed: Sequence[str]


def check_ratios(new: Sequence[Entry], history: Sequence[Entry], bound: float | None = None) -> Verdict:
    """
    Compare the ratios of new runs with the last run of each command in the history; `bound` replaces those of figures.

    Of several new runs of a command the best counts for each ratio: a machine is sometimes slow, never fast by chance.
    A ratio that is missing now, and a command that the history does not have, fail too: a check of nothing proves
    nothing.
    """
    failures, passed = list[str](), list[str]()
    for command in dict.fromkeys(entry.command for entry in new):
        runs = [entry for entry in new if entry.command == command]
        before = baseline_of(history, runs[-1])
        if before is None:
            failures.append(f"`{command}`: the history has no run of it to compare with: keep one with --keep")
            continue
        ratios = _best_of([_ratios(before, run, bound) for run in runs])
        lacking = set.intersection(*(set(not_measured(before, run)) for run in runs))
        failures += [f"`{command}`: {what} was not measured; commit {before.label} has it" for what in sorted(lacking)]
        worse = [one for one in ratios if one.is_worse]
        failures += [_sentence(one, before, runs[-1]) for one in worse]
        if not worse and not lacking:
            passed.append(f"`{command}`: none of {len(ratios)} ratios is worse than its bound (commit {before.label})")
    return Verdict(failures, passed)


def _ratios(before: Entry, after: Entry, bound: float | None) -> list[Change]:
    found = compare({before.command: before}, {after.command: after}, bound)
    return [one for one in found.changes if one.is_ratio]


def _best_of(runs: Sequence[Sequence[Change]]) -> list[Change]:
    best: dict[tuple[str, str], Change] = {}
    for one in (change for run in runs for change in run):
        key = (one.figure, one.unit)
        best[key] = min(best.get(key, one), one, key=lambda change: change.worse)
    return list(best.values())


def _sentence(one: Change, before: Entry, after: Entry) -> str:
    loads = f"load average {after.load[0]:g} on {after.machine['cores']} cores, {before.load[0]:g} then"
    return (
        f"`{one.command}`: {one.figure} {one.unit} is {one.after:.4g}, and was {one.before:.4g} at commit "
        f"{before.label}: {one.worse:.2f} times worse; the bound is {one.bound:g} ({loads})"
    )
