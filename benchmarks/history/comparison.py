"""
Compare runs of the same commands: ratios always, times only where both runs are of the same kind of machine. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.history.entry import BadHistory, Entry
from benchmarks.history.figure import RATIO, Figure, worse_by
from benchmarks.table import markdown, number

HEAD = ("command", "figure", "unit", "before", "after", "change", "")


class Change(NamedTuple):
    """A number in two runs of one command."""

    command: str
    figure: str
    unit: str  # of a ratio: "÷" and whose value divides ours
    before: float
    after: float
    worse: float  # the factor by which it got worse: below 1 when it got better
    bound: float  # above which it counts as worse

    @property
    def is_ratio(self) -> bool:
        """Return True for a ratio, False for a time, size or rate."""
        return self.unit.startswith("÷")

    @property
    def is_worse(self) -> bool:
        """Return True if it got worse by more than the bound."""
        return self.worse > self.bound

    @property
    def percent(self) -> float | None:
        """Return how much larger the number is after, %; None from 0."""
        return (self.after / self.before - 1) * 100 if self.before else None


class Comparison(NamedTuple):
    """The changes of all commands that both sides have."""

    changes: Sequence[Change]
    runs: Mapping[str, tuple[Entry, Entry]]  # by command, before and after
    notes: Sequence[str]  # what could not be compared, and why


def compare(before: Mapping[str, Entry], after: Mapping[str, Entry], bound: float | None = None) -> Comparison:
    """Compare the runs of two sides, by command; `bound` replaces those of the figures. Raises BadHistory."""
    both = [command for command in after if command in before]
    if not both:
        sides = [", ".join(f"`{command}`" for command in side) for side in (before, after)]
        raise BadHistory(f"the two have no command in common: {sides[0]} before, {sides[1]} after")
    changes, notes = list[Change](), list[str]()
    for command in both:
        pair = before[command], after[command]
        if other := _differences(*pair):
            notes.append(f"Times of `{command}` are not compared: the machines differ ({other}).")
        changes += [one for one in _changes(*pair, bound) if one.is_ratio or not other]
        if lacking := not_measured(*pair):
            notes.append(f"Not measured after: {', '.join(lacking)} of `{command}`.")
    for side, name, others in ((before, "before", after), (after, "after", before)):
        notes += [f"Only {name}: `{command}`." for command in side if command not in others]
    return Comparison(changes, {command: (before[command], after[command]) for command in both}, notes)


def not_measured(before: Entry, after: Entry) -> list[str]:
    """Return the ratios that the second run lacks."""
    found = {figure.name: figure.ratios for figure in after.figures}
    return [
        f"{figure.name} ÷ {whom}"
        for figure in before.figures
        for whom in figure.ratios
        if whom not in found.get(figure.name, {})
    ]


def _changes(before: Entry, after: Entry, bound: float | None) -> Iterator[Change]:
    earlier = {figure.name: figure for figure in before.figures}
    for now in after.figures:
        then = earlier.get(now.name)
        if then is None or (then.unit, then.better) != (now.unit, now.better):
            continue
        if now.unit != RATIO:
            yield _change(after.command, now, now.unit, (then.value, now.value), bound)
        for whom, ratio in now.ratios.items():
            if whom in then.ratios:
                yield _change(after.command, now, f"÷ {whom}", (then.ratios[whom], ratio), bound)


def _change(command: str, figure: Figure, unit: str, pair: tuple[float, float], bound: float | None) -> Change:
    return Change(command, figure.name, unit, *pair, worse_by(*pair, figure.better), bound or figure.bound)


def _differences(before: Entry, after: Entry) -> str:
    """Return how two machines differ; "" if they are of the same kind."""
    found = [(before.machine[name], after.machine[name]) for name in before.machine]
    return "; ".join(f"{then} and {now}" for then, now in found if then != now)


def comparison_table(found: Comparison) -> str:
    """Return the table and the notes as Markdown."""
    rows, last = [], ""
    for one in found.changes:
        before, after = found.runs[one.command]
        name = "" if one.command == last else f"{one.command} ({before.label} → {after.label})"
        numbers = [_number(value, one) for value in (one.before, one.after)]
        rows.append((name, one.figure, one.unit, *numbers, _percent(one), _mark(one)))
        last = one.command
    return "\n\n".join([markdown(HEAD, rows), *found.notes])


def _number(value: float, one: Change) -> str:
    return f"{value:.3f}" if one.is_ratio and 1 <= value < 10 else number(value)  # a slowdown of 1.012 is not 1.01


def _percent(one: Change) -> str:
    return "–" if one.percent is None else f"{one.percent:+.1f} %"


def _mark(one: Change) -> str:
    return f"worse than {one.bound:g}×" if one.is_worse else ""


def plain(found: Comparison) -> dict[str, Any]:
    """Return the comparison as a JSON object."""
    runs = {
        command: {"before": _facts(before), "after": _facts(after)} for command, (before, after) in found.runs.items()
    }
    changes = [{**one._asdict(), "percent": one.percent, "is_worse": one.is_worse} for one in found.changes]
    for one in changes:
        one["worse"] = None if one["worse"] == float("inf") else one["worse"]
    return {"runs": runs, "changes": changes, "notes": list(found.notes)}


def _facts(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry._asdict().items() if name not in ("command", "figures")}
