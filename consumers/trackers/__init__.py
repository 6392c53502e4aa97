"""
Trackers: the destinations that runs are delivered to, and everything a plug-in needs to be one.

    from consumers.trackers import Capabilities, Envelope, ReadBack, Settings, State, events

A plug-in imports from here alone; modules below this package may move between releases. `consumers.trackers.testing`
is the contract suite for its tests, and docs/trackers.md describes each name. Importing this package loads none of
the trackers: a name is loaded when it is first used.

- `protocol`: the plug-in contract, with what a tracker can keep (`Capabilities`). Trackers are found through the
  entry-point group `gateway.trackers`; each has a folder with `tracker`, `translate`, `writer` or `backend`,
  and `edits`.
- `run_start`, `run_status`: how a run began and ended when its processes disagree. `edits`: pure; what deletes and
  renames change, as in PostgreSQL.
- `fidelity`: which points a tracker will return, given what it declares. `files/`: what trackers that write files
  share.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, without importing `typing`
if TYPE_CHECKING:
    from consumers.trackers.edits import (
        SeriesKey,
        edited_names,
        edited_series,
        find_run_deletion,
        series_key,
        split_at_edits,
    )
    from consumers.trackers.protocol import (
        CanStartOver,
        Capabilities,
        Contents,
        Line,
        Observed,
        ReadBack,
        State,
        Tracker,
    )
    from consumers.trackers.run_status import RunStatus, fold_run_status
    from schemas import events
    from schemas.errors import BadSettings, TrackerRefused, TrackerUnavailable
    from schemas.facts import Point, SeriesColumns
    from schemas.runtime.settings import Settings
    from schemas.values import to_text
    from schemas.wire import Envelope

__all__ = [
    "BadSettings",
    "CanStartOver",
    "Capabilities",
    "Contents",
    "Envelope",
    "Line",
    "Observed",
    "Point",
    "ReadBack",
    "RunStatus",
    "SeriesColumns",
    "SeriesKey",
    "Settings",
    "State",
    "Tracker",
    "TrackerRefused",
    "TrackerUnavailable",
    "edited_names",
    "edited_series",
    "events",
    "find_run_deletion",
    "fold_run_status",
    "series_key",
    "split_at_edits",
    "to_text",
]

_HOMES = {
    "BadSettings": "schemas.errors",
    "CanStartOver": "consumers.trackers.protocol",
    "Capabilities": "consumers.trackers.protocol",
    "Contents": "consumers.trackers.protocol",
    "Envelope": "schemas.wire",
    "Line": "consumers.trackers.protocol",
    "Observed": "consumers.trackers.protocol",
    "Point": "schemas.facts",
    "ReadBack": "consumers.trackers.protocol",
    "RunStatus": "consumers.trackers.run_status",
    "SeriesColumns": "schemas.facts",
    "SeriesKey": "consumers.trackers.edits",
    "Settings": "schemas.runtime.settings",
    "State": "consumers.trackers.protocol",
    "Tracker": "consumers.trackers.protocol",
    "TrackerRefused": "schemas.errors",
    "TrackerUnavailable": "schemas.errors",
    "edited_names": "consumers.trackers.edits",
    "edited_series": "consumers.trackers.edits",
    "events": "schemas",
    "find_run_deletion": "consumers.trackers.edits",
    "fold_run_status": "consumers.trackers.run_status",
    "series_key": "consumers.trackers.edits",
    "split_at_edits": "consumers.trackers.edits",
    "to_text": "schemas.values",
}


if not TYPE_CHECKING:  # a type checker that saw it would accept any name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'consumers.trackers' has no attribute {name!r}")
        found = getattr(__import__(_HOMES[name], fromlist=[name]), name)
        globals()[name] = found  # the next use finds it without coming here
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
