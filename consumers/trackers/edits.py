"""
What deletes and renames of named parts of a run change, for every tracker that can carry them out.

Pure, and the same as in PostgreSQL (store/sql/queries.sql). An edit concerns what the log has before it. A delete of a
series goes by its bare name: in all steps, attempts and labels, points and observations. A rename too, but a series
whose new name is taken, in the same step, attempt and labels, stays as it is; so do a parameter and a tag of which the
run has the new name. What comes later under an old name is new.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from schemas import events as ev
from schemas.events import MAIN_STEP
from schemas.names import series_name
from schemas.wire import Envelope

Edit = ev.Deleted | ev.Renamed


class SeriesKey(NamedTuple):
    """What a series is, beyond its written name: trackers show that one, and edits tell these apart."""

    step_name: str
    attempt: int
    name: str
    labels: str  # as written, `{rank=3}`

    @property
    def written(self) -> str:
        """Its written name, see schemas/names.py."""
        return series_name(self.name, step_name=self.step_name) + self.labels


def series_key(scope: ev.Scoped, series: ev.Series | ev.Observation) -> SeriesKey:
    """Return what a series of an event is."""
    return SeriesKey(scope.step_name, scope.attempt, series.name, series_name("", series.labels))


class Scope(NamedTuple):
    """What written names do not say of series of one step and attempt; files keep it where it says anything."""

    step_name: str = MAIN_STEP
    attempt: int = 1
    odd: Mapping[str, str] = {}  # bare names, by the written ones that would be read in another way

    def key(self, written: str) -> SeriesKey:
        """Return what the series of this written name is."""
        rest = written if self.step_name == MAIN_STEP else written[len(self.step_name) + 1 :]
        name = self.odd.get(written) or _bare(rest)
        return SeriesKey(self.step_name, self.attempt, name, rest[len(name) :])

    def to_json(self) -> list[Any]:
        """Return the scope as JSON holds it, empty when written names say all."""
        return list(self) if self != Scope() else []

    @classmethod
    def of(cls, keys: Iterable[SeriesKey]) -> Scope:
        """Return the scope of series of one step and attempt."""
        step_name, attempt, odd = MAIN_STEP, 1, dict[str, str]()
        for key in keys:
            step_name, attempt = key[:2]
            if _bare(key.name + key.labels) != key.name:
                odd[key.written] = key.name
        return cls(step_name, attempt, odd)


def _bare(written: str) -> str:
    at = written.find("{")
    return written[:at] if at > 0 and written.endswith("}") else written


def is_edit(event: ev.AnyEvent) -> bool:
    """Say whether an event deletes or renames a named part of a run."""
    return isinstance(event, ev.Deleted | ev.Renamed) and event.what != "run"


def find_run_deletion(envelopes: Iterable[Envelope]) -> Envelope | None:
    """Return the first of some envelopes that deletes its run."""
    return next((one for one in envelopes if isinstance(one.event, ev.Deleted) and one.event.what == "run"), None)


def edits_of(envelopes: Iterable[Envelope]) -> list[Edit]:
    """Return the deletes and renames among some envelopes."""
    return [envelope.event for envelope in envelopes if isinstance(envelope.event, ev.Deleted | ev.Renamed)]


def split_at_edits(envelopes: Sequence[Envelope]) -> Iterator[tuple[bool, list[Envelope]]]:
    """Yield envelopes in log order, edits that follow each other together, and whether they are edits."""
    start = 0
    for end, envelope in enumerate(envelopes, 1):
        if end == len(envelopes) or is_edit(envelopes[end].event) != is_edit(envelope.event):
            yield is_edit(envelope.event), list(envelopes[start:end])
            start = end


def edited_series(present: Collection[SeriesKey], edits: Iterable[Edit]) -> dict[SeriesKey, SeriesKey | None]:
    """Return which series change, of those that are there before the edits; None: it goes."""
    now = {key: key for key in present}
    for edit in edits:
        if edit.what != "series":
            continue
        if isinstance(edit, ev.Deleted):
            now = {before: key for before, key in now.items() if key.name != edit.name}
            continue
        taken = set(now.values())
        for before, key in now.items():
            wanted = key._replace(name=edit.new)
            if key.name == edit.old and wanted not in taken:
                now[before] = wanted
    return {key: now.get(key) for key in present if now.get(key) != key}


def edited_names(present: Collection[str], edits: Iterable[Edit], what: str) -> dict[str, str | None]:
    """Return which names of parameters, tags, labels or artifacts change, of those that are there; None: it goes."""
    now = {name: name for name in present}
    for edit in edits:
        if edit.what != what:
            continue
        if isinstance(edit, ev.Deleted):
            now = {before: name for before, name in now.items() if name != edit.name}
        elif edit.new not in now.values():
            now = {before: edit.new if name == edit.old else name for before, name in now.items()}
    return {name: now.get(name) for name in present if now.get(name) != name}
