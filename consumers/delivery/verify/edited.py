"""
Parts of a run that its log deletes or renames, and that a tracker without edits may therefore still show.

Pure. Only an edit that the log has excuses a surplus: anything else that PostgreSQL lacks is a difference.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from consumers.delivery.verify.facts import RunFacts, kept_pool
from consumers.delivery.verify.findings import Finding, Subject
from consumers.store.read.contents import StoredEdit
from consumers.trackers.protocol import Capabilities
from schemas.facts import SeriesFacts


class EditedNames:
    """Edits of parts of one kind: "param", "tag" and so on."""

    def __init__(self, edits: Iterable[StoredEdit], what: str) -> None:
        self._deleted: set[str] = set()
        self._renames: dict[str, set[str]] = {}  # earlier names by the present one
        for edit in edits:
            if edit.what == what:
                self._deleted |= set() if edit.new else {edit.name}
                if edit.new:
                    self._renames.setdefault(edit.new, set()).add(edit.name)

    def was_shown(self, name: str) -> bool:
        """Return True if the log deletes this name or renames it."""
        return name in self._deleted or any(name in earlier for earlier in self._renames.values())

    def earlier(self, name: str) -> Iterator[str]:
        """Yield the names that a part with this name may have had before."""
        seen, waiting = {name}, [name]
        while waiting:
            for one in sorted(self._renames.get(waiting.pop(), ())):
                if one not in seen:
                    seen.add(one)
                    waiting.append(one)
                    yield one


class EditedSeries:
    """Edits of series: they go by bare names, and a tracker shows written ones."""

    def __init__(self, edits: Iterable[StoredEdit]) -> None:
        of_series = [edit for edit in edits if edit.what == "series"]
        self.has_deletes = any(not edit.new for edit in of_series)
        names = {name for edit in of_series for name in (edit.name, edit.new) if name}
        words = "|".join(map(re.escape, sorted(names)))
        self._pattern = re.compile(rf"(?:.*/)?(?:{words})(?:\{{.*\}})?", re.DOTALL) if names else None

    def __contains__(self, written: str) -> bool:
        return self._pattern is not None and self._pattern.fullmatch(written) is not None

    def compare(
        self, subject: Subject, expected: RunFacts, found: RunFacts, wanted: Collection[str], can: Capabilities
    ) -> Iterator[Finding]:
        """
        Compare edited series as one set of points, whatever their present names.

        `wanted` are the names of those that differ. Each point of PostgreSQL must be there; a surplus is excused only
        if the log deletes a series.
        """
        stored, held = kept_pool(expected.pool, can), kept_pool(found.pool, can)
        lost, surplus = (stored - held).total(), (held - stored).total()
        names = ", ".join(sorted(wanted))[:500]
        if expected.counts_only:
            counts = [sum(facts.points for name, facts in one.series.items() if name in self) for one in
                      (expected, found)]  # fmt: skip
            lost, surplus = max(0, counts[0] - counts[1]), max(0, counts[1] - counts[0])
        if lost or (surplus and not self.has_deletes):
            reason = f"of series that were deleted or renamed since: {lost} are missing, {surplus} are unexpected"
            yield subject.difference("points", stored.total(), held.total(), f"{reason}; {names}")
            return
        if surplus:
            yield subject.loss("series", surplus, "deleted since, and still shown", name=names)
        else:
            count = sum(expected.series.get(name, SeriesFacts()).points for name in wanted)
            yield subject.loss("series", count, "renamed since, and still shown under the previous name", name=names)


def upgrade_hint(edits: Sequence[StoredEdit]) -> str:
    """Return what may explain a surplus without an edit: a release before this one did not store edits."""
    hint = "if it was deleted or renamed, before the last upgrade, `gateway rebuild` makes that known"
    return "" if edits else hint
