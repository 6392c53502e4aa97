"""
The plug-in contract: what a tracker is to the delivery loop, and how one is found.

A tracker is a class with a constructor without arguments, registered under its name in the entry-point group
`gateway.trackers`. MLflow and W&B come through that door like a stranger's. It is loaded only when asked for.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

from schemas.errors import BadSettings
from schemas.facts import Point
from schemas.settings import Settings
from schemas.wire import Batch

GROUP = "gateway.trackers"
NOTHING = "nothing"

State = Mapping[str, Any]


class ReadBack(NamedTuple):
    """What a tracker holds of one run, read from the tracker itself."""

    points: Iterator[Point]
    params: Mapping[str, str]  # by the name the training code gave them
    status: str  # "running", "finished", "failed", "killed"
    started: int | None  # µs since 1970-01-01 UTC, as exactly as the tracker keeps it
    ended: int | None  # µs


class Tracker(Protocol):
    """
    A place events go to.

    The loop calls `open` once, then `deliver` from several threads: in the order of the log within a run, one call
    at a time for each run, each record at least once. What `deliver` returns (a small JSON object) is kept in the same
    row as the checkpoint, written after it returned. When the process dies in between, `deliver` is called again with
    the last kept state and the same batches, perhaps with more after them, so a tracker must find its own traces
    or undo them: nothing may be missing, nothing may be there twice.

    Raise TrackerUnavailable to be called again later with the same batches (other runs go on), TrackerRefused to park
    this run with the reason (other runs go on). Anything else that is raised parks the run too.
    """

    name: str
    cannot_hold: Sequence[str]  # what gets lost in this tracker, for people, one line each

    def open(self, settings: Settings) -> None:
        """Get ready. Raises BadSettings when an address it needs is missing. Must not wait for a server."""

    def deliver(self, run_id: str, batches: Sequence[Batch], state: State) -> State:
        """Bring these batches of one run, all new, to the tracker; return what to be called with next time."""

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Return what the tracker holds of a run. Raises TrackerUnavailable, TrackerRefused."""

    def close(self) -> None:
        """Let go of connections and files; no `deliver` is running."""


class NothingTracker:
    """The default: takes everything and keeps nothing."""

    name = NOTHING
    cannot_hold: Sequence[str] = ("everything",)

    def open(self, settings: Settings) -> None:
        """Do nothing."""

    def deliver(self, run_id: str, batches: Sequence[Batch], state: State) -> State:
        """Do nothing."""
        return state

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Return an empty run."""
        return ReadBack(iter(()), {}, "running", None, None)

    def close(self) -> None:
        """Do nothing."""


def load_tracker(name: str) -> Tracker:
    """
    Return the tracker registered as `name`.

    Raises BadSettings: for an unknown name with the names there are, for a tracker that cannot be loaded with its entry
    point, its distribution and the cause.
    """
    if name == NOTHING:
        return NothingTracker()
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    entry = found.get(name)
    if entry is None:
        raise BadSettings(f"there is no tracker {name!r}: choose one of {', '.join(sorted({*found, NOTHING}))}")
    origin = f"entry point {entry.name} = {entry.value} of {entry.dist.name if entry.dist else 'an unknown package'}"
    try:
        tracker = entry.load()()
    except Exception as error:  # a stranger's code; no event is read before it is loaded
        cause = traceback.format_exception_only(error)[-1].strip()
        raise BadSettings(f"tracker {name!r} cannot be loaded ({origin}: {cause}): install what it needs") from error
    missing = [part for part in ("deliver", "read_back", "open", "close") if not callable(getattr(tracker, part, None))]
    if missing:
        raise BadSettings(f"tracker {name!r} ({origin}) has no {', '.join(missing)}: see consumers/delivery/tracker.py")
    loaded: Tracker = tracker
    return loaded
