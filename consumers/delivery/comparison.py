"""
Compare what two places hold, run by run and series by series.

Pure. One side is PostgreSQL, where the log was folded; the other is a tracker, read back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.facts import Facts, Point

_SAME_STATUS = {"lost": "running", "created": "running"}  # no event says "lost", and W&B has no state before "running"


class Difference(NamedTuple):
    """One thing that a tracker holds differently."""

    place: str
    run_id: str
    what: str  # "run", "status", "started", "ended", "params", "points" or "checksum"
    name: str  # of the series; "" for the whole run
    expected: Any  # in PostgreSQL
    found: Any
    reason: str = ""

    def __str__(self) -> str:
        where = f"{self.place}, run {self.run_id}" + (f", series {self.name}" if self.name else "")
        told = f"{where}: {self.what} {self.found}, and {self.expected} in PostgreSQL"
        return f"{told} ({self.reason})" if self.reason else told

    def to_json(self) -> dict[str, Any]:
        """Return the difference as `--json` prints it."""
        return self._asdict()


@dataclass
class RunFacts:
    """What one place holds of one run."""

    run_id: str
    status: str = ""
    params: set[str] = field(default_factory=set)
    series: dict[str, Facts] = field(default_factory=dict)
    started: int | None = None  # µs since 1970-01-01 UTC; None where the place does not say
    ended: int | None = None  # µs; only of a run that has ended
    counts_only: bool = False  # its points were dropped here: how many each series had is known, and no value
    missing: str = ""  # why the place does not have the run, or cannot be read for it

    def add_points(self, points: Iterable[Point]) -> None:
        """Count points by series."""
        for point in points:
            self.series.setdefault(point.series, Facts()).add_point(self.run_id, point)

    def total(self) -> Facts:
        """Return the facts of the whole run; of none when the place does not have it."""
        if self.missing:
            return Facts()
        total = Facts(runs=1, params=len(self.params))
        for facts in self.series.values():
            total.add(facts)
        return total


def compare(place: str, expected: RunFacts, found: RunFacts) -> Iterator[Difference]:
    """Yield how `found`, of `place`, differs."""
    run_id = expected.run_id
    if expected.missing:
        yield Difference(place, run_id, "run", "", "missing", "missing" if found.missing else "there", expected.missing)
        return
    if found.missing:
        yield Difference(place, run_id, "run", "", "there", "missing", found.missing)
        return
    if _status(expected) != _status(found):
        yield Difference(place, run_id, "status", "", expected.status, found.status)
    yield from _times(place, expected, found)
    if expected.params != found.params:
        lacking, extra = expected.params - found.params, found.params - expected.params
        reason = ", ".join(
            [f"{name!r} is missing" for name in sorted(lacking)] + [f"{name!r} is too many" for name in sorted(extra)]
        )
        yield Difference(place, run_id, "params", "", len(expected.params), len(found.params), reason[:1_000])
    for name in sorted(expected.series.keys() | found.series.keys()):
        one, other = expected.series.get(name, Facts()), found.series.get(name, Facts())
        if one.points != other.points:
            yield Difference(place, run_id, "points", name, one.points, other.points)
        elif one != other and not expected.counts_only:
            yield Difference(place, run_id, "checksum", name, one.checksum, other.checksum)


def _times(place: str, expected: RunFacts, found: RunFacts) -> Iterator[Difference]:
    """Yield how start and end differ, to the millisecond: finer no tracker but files keeps them."""
    pairs = (("started", expected.started, found.started), ("ended", expected.ended, found.ended))
    for what, one, other in pairs:
        if one is not None and other is not None and one // 1_000 != other // 1_000:
            yield Difference(place, expected.run_id, what, "", one, other, "µs since 1970")


def _status(facts: RunFacts) -> str:
    return _SAME_STATUS.get(facts.status, facts.status)
