"""
Compare what two places hold of a run: everything that a tracker returns.

Pure. A place is PostgreSQL, where the log was folded, or a tracker, read back. What a tracker cannot keep according to
its capabilities is a Loss and not a Difference. Losses are computed from what PostgreSQL holds, never from what is
missing, so that a declared capability cannot hide a point that a tracker lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from consumers.delivery.verify.content import compare_lines, compare_observations
from consumers.delivery.verify.edited import EditedSeries, upgrade_hint
from consumers.delivery.verify.facts import RunFacts
from consumers.delivery.verify.findings import Difference, Finding, Subject
from consumers.delivery.verify.named import NOT_RETURNED, NamedValues, compare_artifacts
from consumers.trackers.fidelity import keeps_all_points
from consumers.trackers.protocol import Capabilities
from schemas.facts import SeriesFacts

STORE = "postgresql"  # the name of the place that the trackers are compared with
_SAME_STATUS = {"lost": "running", "created": "running"}  # no event says "lost", and W&B has no state before "running"
_KEEPS_ALL = Capabilities()


def compare(place: str, expected: RunFacts, found: RunFacts, can: Capabilities = _KEEPS_ALL) -> Iterator[Difference]:
    """Yield the differences of `found`, which `place` holds."""
    return (one for one in findings(place, expected, found, can) if isinstance(one, Difference))


def findings(
    place: str,
    expected: RunFacts,
    found: RunFacts,
    can: Capabilities,
    kept: Mapping[str, SeriesFacts] | None = None,
) -> Iterator[Finding]:
    """
    Yield the differences of `found`, which `place` holds, and what of the run the place cannot hold.

    `kept` contains the points of `expected` as the place keeps them; None when it keeps all unchanged.
    """
    subject = Subject(place, expected.run_id)
    if expected.missing:
        yield subject.difference("run", "missing", "missing" if found.missing else "there", expected.missing)
        return
    if found.missing:
        yield subject.difference("run", "there", "missing", found.missing)
        return
    yield from _head(subject, expected, found, can)
    edits = expected.edits
    params = NamedValues(subject, "params", can.can_edit_params, can.cut_params, edits)
    texts = {name: str(value) for name, value in found.params.items()}
    yield from params.compare(expected.params, texts if can.keeps_params else None)
    tags = NamedValues(subject, "tags", can.can_edit_tags, can.cut_tags, edits)
    yield from tags.compare(expected.tags or {}, found.tags)
    held = None if found.labels is None else {name: str(value) for name, value in found.labels.items()}
    labels = NamedValues(subject, "labels", can.can_edit_tags, can.cut_tags, edits)
    yield from labels.compare(expected.labels or {}, held)
    yield from compare_artifacts(subject, expected.artifacts or {}, found.artifacts, can.cut_tags)
    edited = EditedSeries(() if can.can_edit_series else edits)
    yield from _series(subject, expected, found, can, expected.series if kept is None else kept)
    yield from compare_observations(subject, expected, found, edited)
    yield from compare_lines(subject, expected, found)
    for words, count in found.altered.items():
        yield subject.loss("shown", count, words)


def _head(subject: Subject, expected: RunFacts, found: RunFacts, can: Capabilities) -> Iterator[Finding]:
    """Compare what describes the run as a whole."""
    if can.keeps_status:
        if _status(expected) != _status(found):
            yield subject.difference("status", expected.status, found.status)
        yield from _times(subject, expected, found)
    else:
        yield subject.loss("status", 1, "status, start and end are not kept")
    if expected.lifecycle_stage == "deleted" and found.lifecycle_stage is None:
        yield subject.loss("lifecycle stage", 1, "in the trash, and still shown")
    elif found.lifecycle_stage is not None and expected.lifecycle_stage != found.lifecycle_stage:
        yield subject.difference("lifecycle stage", expected.lifecycle_stage, found.lifecycle_stage)
    if found.misplaced:
        yield subject.difference("experiment", expected.tag, found.misplaced)
    for what, one, other, limits in (
        ("name", expected.name, found.name, can.cut_names), ("tag", expected.tag, found.tag, can.cut_tags),
        ("note", expected.note, found.note, can.cut_tags),
    ):  # fmt: skip
        if not one and not other:
            continue
        if other is None:
            yield subject.loss(what, 1, NOT_RETURNED)
        elif one is None or one == other:
            continue
        elif len(other) < len(one) and one.startswith(other) and len(other) in limits:
            yield subject.loss(what, 1, f"cut at {len(other):,} characters")
        else:
            yield subject.difference(what, one[:200], other[:200])


def _series(
    subject: Subject, expected: RunFacts, found: RunFacts, can: Capabilities, kept: Mapping[str, SeriesFacts]
) -> Iterator[Finding]:
    nothing = SeriesFacts()
    edited = EditedSeries(() if can.can_edit_series else expected.edits)
    differing: set[str] = set()
    for name in sorted(expected.series):
        stored, wanted, held = expected.series[name], kept.get(name, nothing), found.series.get(name, nothing)
        if stored.points != wanted.points:
            count = stored.points - wanted.points
            yield subject.loss("points", count, "points that this tracker cannot hold", name=name)
        elif stored != wanted:
            yield subject.loss("points", stored.points, "held with less precision", name=name)
        if name in edited and (wanted.points != held.points if expected.counts_only else wanted != held):
            differing.add(name)
        elif expected.counts_only:
            # Of a series that had points a tracker keeps at least one, unless it drops all that are not finite.
            if held.points < wanted.points and not keeps_all_points(can) and (held.points or not can.keeps_non_finite):
                count = wanted.points - held.points
                yield subject.loss("points", count, "may be points that this tracker cannot hold", name=name)
            elif wanted.points != held.points:
                yield subject.difference("points", wanted.points, held.points, name=name)
        elif wanted != held:
            yield _series_difference(subject, name, wanted, held)
        elif None not in (wanted.exact, held.exact) and wanted.exact != held.exact:
            one, other = f"{wanted.exact or 0:032x}", f"{held.exact or 0:032x}"
            yield subject.difference("checksum", one, other, "times differ by less than a millisecond", name=name)
    for name, held in sorted(found.series.items()):
        if name in expected.series or not held.points:
            continue
        if name in edited:
            differing.add(name)
        else:
            hint = "" if can.can_edit_series else upgrade_hint(expected.edits)
            reason = "; ".join(one for one in (_edges(nothing, held), hint) if one)
            yield subject.difference("points", 0, held.points, reason, name=name)
    if differing:
        yield from edited.compare(subject, expected, found, differing, can)


def _series_difference(subject: Subject, name: str, wanted: SeriesFacts, held: SeriesFacts) -> Difference:
    edges = _edges(wanted, held)
    if wanted.points != held.points:
        return subject.difference("points", wanted.points, held.points, edges, name=name)
    return subject.difference("checksum", wanted.hexadecimal, held.hexadecimal, edges, name=name)


def _edges(expected: SeriesFacts, found: SeriesFacts) -> str:
    """Return how the first and last points differ, in words."""
    return ", ".join(
        f"its {which} is {_point(other)}, not {_point(one)}"
        for which, one, other in (("first", expected.first, found.first), ("last", expected.last, found.last))
        if one != other and one is not None and other is not None
    )


def _point(edge: tuple[int, int]) -> str:
    return f"step {edge[0]} at {edge[1]} ms"


def _times(subject: Subject, expected: RunFacts, found: RunFacts) -> Iterator[Difference]:
    """Yield the differences of start and end: as exact as the place keeps them, at least to the millisecond."""
    pairs = (("started", expected.started, found.started), ("ended", expected.ended, found.ended))
    for what, one, other in pairs:
        if one is None:  # no event reported it: what a tracker shows instead is its own
            continue
        if other is None:
            yield subject.difference(what, one, other, "the tracker does not show it")
        elif one // 1_000 != other // 1_000 or (other % 1_000 and one != other):
            yield subject.difference(what, one, other, "µs since 1970")


def _status(facts: RunFacts) -> str:
    return _SAME_STATUS.get(facts.status, facts.status)
