"""
The effects of deletes and renames of named parts of a run, for every tracker that can carry them out.

Pure, and equal to those in PostgreSQL (store/sql/queries.sql). An edit applies to what precedes it in the log. A delete
of a series goes by its bare name: it covers all steps, attempts and labels, points and observations. A rename does too,
except that a series stays as it is if the new name is taken in the same step, attempt and labels; a parameter or tag
stays as it is if the run already has the new name. What arrives later under an old name is new.
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
    """The identity of a series. Trackers show its written name only; edits distinguish these four parts."""

    step_name: str
    attempt: int
    name: str
    labels: str  # as written, `{rank=3}`

    @property
    def written(self) -> str:
        """The written name, see schemas/names.py."""
        return series_name(self.name, step_name=self.step_name) + self.labels


def series_key(scope: ev.Scoped, series: ev.Series | ev.Observation) -> SeriesKey:
    """Return the identity of a series in an event."""
    return SeriesKey(scope.step_name, scope.attempt, series.name, series_name("", series.labels))


class Scope(NamedTuple):
    """What written names do not express of series of one step and attempt; files store it only if it is needed."""

    step_name: str = MAIN_STEP
    attempt: int = 1
    odd: Mapping[str, str] = {}  # bare names by written names, for those that would be parsed wrongly

    def key(self, written: str) -> SeriesKey:
        """Return the identity of the series with this written name."""
        rest = written if self.step_name == MAIN_STEP else written[len(self.step_name) + 1 :]
        name = self.odd.get(written) or _bare(rest)
        return SeriesKey(self.step_name, self.attempt, name, rest[len(name) :])

    def to_json(self) -> list[Any]:
        """Return the scope as JSON values; empty if the written names are enough."""
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
    """Return True if an event deletes or renames a named part of a run."""
    return isinstance(event, ev.Deleted | ev.Renamed) and event.what != "run"


def find_run_deletion(envelopes: Iterable[Envelope]) -> Envelope | None:
    """Return the first of these events that deletes its run, or None."""
    return next((one for one in envelopes if isinstance(one.event, ev.Deleted) and one.event.what == "run"), None)


def edits_of(envelopes: Iterable[Envelope]) -> list[Edit]:
    """Return the deletes and renames among these events."""
    return [envelope.event for envelope in envelopes if isinstance(envelope.event, ev.Deleted | ev.Renamed)]


def split_at_edits(envelopes: Sequence[Envelope]) -> Iterator[tuple[bool, list[Envelope]]]:
    """Divide events in log order into edits and others; yield each part with whether it consists of edits."""
    start = 0
    for end, envelope in enumerate(envelopes, 1):
        if end == len(envelopes) or is_edit(envelopes[end].event) != is_edit(envelope.event):
            yield is_edit(envelope.event), list(envelopes[start:end])
            start = end


def edited_series(present: Collection[SeriesKey], edits: Iterable[Edit]) -> dict[SeriesKey, SeriesKey | None]:
    """Return the series that change, of those present before the edits, with their new key; None: deleted."""
    now = {key: key for key in present}
    for edit in edits:
        if edit.what != "series":
            continue
        if isinstance(edit, ev.Deleted):
            now = {before: key for before, key in now.items() if key.name != edit.name}
            continue
        taken = set(now.values())
        for before, key in now.items():
            new = key._replace(name=edit.new)
            if key.name == edit.old and new not in taken:
                now[before] = new
    return {key: now.get(key) for key in present if now.get(key) != key}


def edited_names(present: Collection[str], edits: Iterable[Edit], what: str) -> dict[str, str | None]:
    """
    Return the names that change, of those present before the edits, with their new name; None: deleted.

    `what` is "param", "tag", "label" or "artifact".
    """
    now = {name: name for name in present}
    for edit in edits:
        if edit.what != what:
            continue
        if isinstance(edit, ev.Deleted):
            now = {before: name for before, name in now.items() if name != edit.name}
        elif edit.new not in now.values():
            now = {before: edit.new if name == edit.old else name for before, name in now.items()}
    return {name: now.get(name) for name in present if now.get(name) != name}
