"""
Compare what else a run holds: observations and console lines. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from consumers.delivery.verify.edited import EditedSeries
from consumers.delivery.verify.facts import ObservedValue, RunFacts
from consumers.delivery.verify.findings import Finding, Subject
from consumers.delivery.verify.named import NOT_RETURNED

_EDITED = "\x00edited"  # no written name: stands for all series that the log edits
_SHOWN = 5  # steps that a reason names


def compare_observations(
    subject: Subject, expected: RunFacts, found: RunFacts, edited: EditedSeries
) -> Iterator[Finding]:
    """Compare the values that are not numbers: each by series, step, time and value."""
    stored = expected.observations or {}
    if found.observations is None:
        if stored:
            yield subject.loss("observations", sum(map(len, stored.values())), NOT_RETURNED)
        return
    wanted, held = _by_series(stored, edited), _by_series(found.observations, edited)
    unheld = found.unheld
    for series in sorted(wanted.keys() | held.keys()):
        problems, losses, surplus = list[str](), 0, 0
        steps = wanted.get(series, {}).keys() | held.get(series, {}).keys()
        for step in sorted(steps):
            left, wrong, is_partial = _unmatched(
                wanted.get(series, {}).get(step, []), held.get(series, {}).get(step, [])
            )
            if wrong and series == _EDITED and edited.has_deletes:
                surplus, wrong = surplus + wrong, 0
            if left and not wrong and is_partial:
                losses, left = losses + left, 0
            elif left and unheld:
                losses, left, unheld = losses + min(left, unheld), max(0, left - unheld), max(0, unheld - left)
            if left or wrong:
                problems.append(f"step {step}: {left} missing, {wrong} unexpected or changed")
        name = "series that were deleted or renamed" if series == _EDITED else series
        if problems:
            one, other = (sum(map(len, place.get(series, {}).values())) for place in (wanted, held))
            yield subject.difference("observations", one, other, "; ".join(problems[:_SHOWN]), name=name)
        if losses:
            yield subject.loss("observations", losses, "that this tracker cannot hold", name=name)
        if surplus:
            yield subject.loss("observations", surplus, "deleted since, and still shown", name=name)


def compare_lines(subject: Subject, expected: RunFacts, found: RunFacts) -> Iterator[Finding]:
    """Compare the console lines of each stream by number and checksum."""
    stored = expected.lines or {}
    if found.lines is None:
        if stored:
            yield subject.loss("lines", sum(count for count, _ in stored.values()), NOT_RETURNED)
        return
    for stream in sorted(stored.keys() | found.lines.keys()):
        one, other = stored.get(stream, (0, 0)), found.lines.get(stream, (0, 0))
        if one != other:
            reason = "" if one[0] != other[0] else "the same number, and other times or texts"
            yield subject.difference("lines", one[0], other[0], reason, name=stream)


def _by_series(
    observations: dict[tuple[str, int], list[ObservedValue]], edited: EditedSeries
) -> dict[str, dict[int, list[ObservedValue]]]:
    found: dict[str, dict[int, list[ObservedValue]]] = {}
    for (series, step), values in observations.items():
        name = _EDITED if series in edited else series
        found.setdefault(name, {}).setdefault(step, []).extend(values)
    return found


def _unmatched(wanted: list[ObservedValue], held: list[ObservedValue]) -> tuple[int, int, bool]:
    """Return how many values are missing, how many are unexpected, and whether the place keeps only some of a step."""
    left, wrong = list(wanted), 0
    for time, digest in held:
        match = next(
            (one for one in left if time in (None, one[0]) and digest in (None, one[1])), None
        )  # fmt: skip
        if match is None:
            wrong += 1
        else:
            left.remove(match)
    is_partial = bool(held) and all(time is None for time, _ in held)
    return len(left), wrong, is_partial
