"""
How a run began, whatever the order in which its processes report.

Pure, and equal to what materialiser/fold/lifecycle.py decides for PostgreSQL: the earliest start or resumption is the
start; the newest name and tag count, and those of a superseded attempt only fill gaps. Trackers know no ids of
experiments: the tag names the experiment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas import events as ev
from schemas.wire import Envelope

_OPENED = ev.RunCreated | ev.RunStarted | ev.RunResumed
_ATTEMPT = _OPENED | ev.RunFinished | ev.RunFailed | ev.RunKilled


class Opening(NamedTuple):
    """The beginning of a run as its events tell it so far. Stored states hold it as a list: keep the order."""

    first: int  # µs: time of its first event in the log
    started: int | None = None  # µs; None: no start has arrived
    attempt: int = 1
    name: str = ""
    tag: str = ""

    @property
    def shown(self) -> int:
        """The start to show, µs."""
        return self.first if self.started is None else self.started


def fold_opening(known: Opening | None, events: Iterable[ev.AnyEvent]) -> Opening:
    """Return the beginning of a run after some events; at least one if nothing is known."""
    for event in events:
        known = known or Opening(event.time)
        if isinstance(event, _OPENED):
            known = _open(known, event)
        elif isinstance(event, ev.Renamed) and event.what == "run":
            known = known._replace(name=event.new)
        elif isinstance(event, ev.Moved):
            known = known._replace(tag=event.tag or known.tag)
        if isinstance(event, _ATTEMPT):
            known = known._replace(attempt=max(known.attempt, event.attempt))
    assert known is not None  # the caller has an event, or knows the run
    return known


def may_move(envelopes: Iterable[Envelope]) -> bool:
    """Return whether one of these can change the experiment or the start of a run."""
    return any(isinstance(one.event, _OPENED | ev.Moved) for one in envelopes)


def _open(known: Opening, event: ev.RunCreated | ev.RunStarted | ev.RunResumed) -> Opening:
    is_old = event.attempt < known.attempt
    name = known.name if not event.name or (is_old and known.name) else event.name
    tag = known.tag if not event.tag or (is_old and known.tag) else event.tag
    started = known.started
    if not isinstance(event, ev.RunCreated):
        started = event.time if started is None else min(started, event.time)
    return known._replace(name=name, tag=tag, started=started)
