"""
Compare what two places hold of a run: points by series, parameters, tags, status, start and end.

Pure. A place is PostgreSQL, where the log was folded, or a tracker, read back. What a tracker cannot keep according to
its capabilities is a Loss and not a Difference. Losses are computed from what PostgreSQL holds, never from what is
missing, so that a declared capability cannot hide a point that a tracker lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from consumers.delivery.verify.equality import is_cut, is_same, shown
from consumers.trackers.fidelity import keeps_all_points
from consumers.trackers.protocol import Capabilities
from schemas.facts import Facts, Point, SeriesColumns, SeriesFacts, count_columns, count_points
from schemas.values import StringValue, Typed

STORE = "postgresql"  # the name of the place that the trackers are compared with
_SAME_STATUS = {"lost": "running", "created": "running"}  # no event says "lost", and W&B has no state before "running"
_REASON = 1_000  # characters
_KEEPS_ALL = Capabilities()


class Difference(NamedTuple):
    """One thing that a tracker holds differently from PostgreSQL."""

    place: str
    run_id: str
    what: str  # "run", "status", "started", "ended", "params", "tags", "points" or "checksum"
    name: str  # of the series; "" for the whole run
    expected: Any  # in PostgreSQL
    found: Any
    reason: str = ""

    def __str__(self) -> str:
        """Return the difference in words, with place and run."""
        origin = f"{self.place}, run {self.run_id}"
        return f"{origin}, {self.describe()}" if self.name else f"{origin}: {self.describe()}"

    def describe(self) -> str:
        """Return the difference in words, without place and run."""
        series = f"series {self.name}: " if self.name else ""
        text = f"{series}{self.what} {self.found}, and {self.expected} in PostgreSQL"
        return f"{text} ({self.reason})" if self.reason else text

    def to_json(self) -> dict[str, Any]:
        """Return the difference as `--json` prints it."""
        return self._asdict()


class Loss(NamedTuple):
    """Something of a run that a tracker cannot hold by design: not a failure of the delivery."""

    place: str
    run_id: str
    what: str  # "points", "params", "tags", "status", "series", "run" or "shown"
    name: str  # of the series, the parameter or the tag; "" for the whole run
    amount: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the loss as `--json` prints it."""
        return self._asdict()


@dataclass
class RunFacts:
    """What one place holds of one run."""

    run_id: str
    status: str = ""
    params: Mapping[str, Typed | str] = field(default_factory=dict)  # typed in PostgreSQL, text in a tracker
    series: dict[str, SeriesFacts] = field(default_factory=dict)
    started: int | None = None  # µs since 1970-01-01 UTC; None: the place does not report it
    ended: int | None = None  # µs; only of a run that has ended
    tags: Mapping[str, str] | None = None  # None: the place does not report it
    counts_only: bool = False  # its points were dropped here: the number per series is known, the values are not
    missing: str = ""  # why the place does not have the run, or cannot be read for it
    altered: Mapping[str, int] = field(default_factory=dict)  # what a tracker shows differently, and how often

    def add_points(self, points: Iterable[Point]) -> None:
        """Count points by series."""
        count_points(self.series, points)

    def add_columns(self, columns: Iterable[SeriesColumns]) -> None:
        """Count points by series."""
        count_columns(self.series, columns)

    def total(self) -> Facts:
        """Return the facts of the whole run; empty ones when the place does not have it."""
        if self.missing:
            return Facts()
        total = Facts(runs=1, params=len(self.params))
        for name, facts in self.series.items():
            total.add_series(self.run_id, name, facts)
        return total


def compare(place: str, expected: RunFacts, found: RunFacts, can: Capabilities = _KEEPS_ALL) -> Iterator[Difference]:
    """Yield the differences of `found`, which `place` holds."""
    return (one for one in findings(place, expected, found, can) if isinstance(one, Difference))


def findings(
    place: str,
    expected: RunFacts,
    found: RunFacts,
    can: Capabilities,
    kept: Mapping[str, SeriesFacts] | None = None,
) -> Iterator[Difference | Loss]:
    """
    Yield the differences of `found`, which `place` holds, and what of the run the place cannot hold.

    `kept` contains the points of `expected` as the place keeps them; None when it keeps all unchanged.
    """
    run_id = expected.run_id
    if expected.missing:
        yield Difference(place, run_id, "run", "", "missing", "missing" if found.missing else "there", expected.missing)
        return
    if found.missing:
        yield Difference(place, run_id, "run", "", "there", "missing", found.missing)
        return
    if can.keeps_status:
        if _status(expected) != _status(found):
            yield Difference(place, run_id, "status", "", expected.status, found.status)
        yield from _times(place, expected, found)
    else:
        yield Loss(place, run_id, "status", "", 1, "status, start and end are not kept")
    params = {name: _typed(value) for name, value in expected.params.items()}
    texts = {name: str(value) for name, value in found.params.items()}
    edits, cuts = can.can_edit_params, can.cut_params
    yield from _NamedValues(place, run_id, "params", edits, cuts).compare(params, texts if can.keeps_params else None)
    tags = {name: _typed(value) for name, value in (expected.tags or {}).items()}
    yield from _NamedValues(place, run_id, "tags", can.can_edit_tags, can.cut_tags).compare(tags, found.tags)
    yield from _series(place, expected, found, can, expected.series if kept is None else kept)
    for words, count in found.altered.items():
        yield Loss(place, run_id, "shown", "", count, words)


class _NamedValues(NamedTuple):
    """Parameters or tags of one run."""

    place: str
    run_id: str
    what: str
    can_edit: bool
    cuts: Sequence[int]  # lengths, in characters

    def compare(self, expected: Mapping[str, Typed], found: Mapping[str, str] | None) -> Iterator[Difference | Loss]:
        if found is None:
            if expected:
                yield self._loss("", len(expected), "not returned by this tracker")
            return
        cut = [name for name in expected.keys() & found.keys() if is_cut(expected[name], found[name], self.cuts)]
        for name in sorted(cut):
            yield self._loss(name, 1, f"cut at {len(found[name]):,} characters")
        wrong = [
            name
            for name in expected.keys() & found.keys()
            if not is_same(expected[name], found[name]) and name not in cut
        ]
        extra = sorted(found.keys() - expected.keys())
        if not self.can_edit:
            for name in extra:
                yield self._loss(name, 1, "deleted or renamed since, and still shown")
            extra = []
        missing = sorted(expected.keys() - found.keys())
        if missing or extra or wrong:
            reasons = [f"{name!r} is missing" for name in missing] + [f"{name!r} is unexpected" for name in extra]
            reasons += [f"{name!r} is {shown(found[name])!r}, not {shown(expected[name])!r}" for name in sorted(wrong)]
            reason = ", ".join(reasons)[:_REASON]
            yield Difference(self.place, self.run_id, self.what, "", len(expected), len(found), reason)

    def _loss(self, name: str, count: int, reason: str) -> Loss:
        return Loss(self.place, self.run_id, self.what, name, count, reason)


def _series(
    place: str, expected: RunFacts, found: RunFacts, can: Capabilities, kept: Mapping[str, SeriesFacts]
) -> Iterator[Difference | Loss]:
    run_id, nothing = expected.run_id, SeriesFacts()
    spare = {name: facts for name, facts in found.series.items() if name not in expected.series and facts.points}
    for name in sorted(expected.series):
        stored, wanted, held = expected.series[name], kept.get(name, nothing), found.series.get(name, nothing)
        if stored.points != wanted.points:
            count = stored.points - wanted.points
            yield Loss(place, run_id, "points", name, count, "points that this tracker cannot hold")
        elif stored != wanted:
            yield Loss(place, run_id, "points", name, stored.points, "held with less precision")
        if expected.counts_only:
            if held.points < wanted.points and not keeps_all_points(can):
                count = wanted.points - held.points
                yield Loss(place, run_id, "points", name, count, "may be points that this tracker cannot hold")
            elif wanted.points != held.points:
                yield Difference(place, run_id, "points", name, wanted.points, held.points)
        elif wanted != held:
            shown_as = None if can.can_edit_series else _shown_as(wanted, held, spare)
            if shown_as is not None:
                count = spare.pop(shown_as).points
                yield Loss(place, run_id, "series", name, count, f"renamed since, and still shown as {shown_as!r}")
            else:
                yield _series_difference(place, run_id, name, wanted, held)
    for name, held in sorted(spare.items()):
        if can.can_edit_series:
            yield Difference(place, run_id, "points", name, 0, held.points, _edges(nothing, held))
        else:
            yield Loss(place, run_id, "series", name, held.points, "deleted or renamed since, and still shown")


def _series_difference(place: str, run_id: str, name: str, wanted: SeriesFacts, held: SeriesFacts) -> Difference:
    edges = _edges(wanted, held)
    if wanted.points != held.points:
        return Difference(place, run_id, "points", name, wanted.points, held.points, edges)
    return Difference(place, run_id, "checksum", name, wanted.hexadecimal, held.hexadecimal, edges)


def _shown_as(expected: SeriesFacts, found: SeriesFacts, spare: Mapping[str, SeriesFacts]) -> str | None:
    """Return the series whose points are exactly the missing ones: checksums are sums, so parts can be added."""
    for name, facts in sorted(spare.items()):
        together = SeriesFacts(found.points, found.checksum)
        together.merge(facts)
        if together == expected:
            return name
    return None


def _edges(expected: SeriesFacts, found: SeriesFacts) -> str:
    """Return how the first and last points differ, in words."""
    return ", ".join(
        f"its {which} is {_point(other)}, not {_point(one)}"
        for which, one, other in (("first", expected.first, found.first), ("last", expected.last, found.last))
        if one != other and one is not None and other is not None
    )


def _point(edge: tuple[int, int]) -> str:
    return f"step {edge[0]} at {edge[1]} ms"


def _typed(value: Typed | str) -> Typed:
    return StringValue(value=value) if isinstance(value, str) else value


def _times(place: str, expected: RunFacts, found: RunFacts) -> Iterator[Difference]:
    """Yield the differences of start and end, to the millisecond: only file trackers keep them more precisely."""
    pairs = (("started", expected.started, found.started), ("ended", expected.ended, found.ended))
    for what, one, other in pairs:
        if one is not None and other is not None and one // 1_000 != other // 1_000:
            yield Difference(place, expected.run_id, what, "", one, other, "µs since 1970")


def _status(facts: RunFacts) -> str:
    return _SAME_STATUS.get(facts.status, facts.status)
