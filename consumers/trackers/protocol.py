"""
The plug-in contract: what a tracker is to the delivery loop, and how one is found.

A tracker is a class registered under its type in the entry-point group `gateway.trackers`; MLflow and W&B come through
that door like a stranger's. It is loaded only when asked for, and made without arguments, or with what the trackers
file (consumers/delivery/plugins/config.py) gives it as keywords. `consumers.trackers.testing.suite` is the suite that
proves one; docs/trackers.md shows how to write one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

from schemas.errors import BadSettings
from schemas.facts import Point, SeriesColumns
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

NOTHING = "nothing"

State = Mapping[str, Any]


class ReadBack(NamedTuple):
    """What a tracker holds of one run, read from the tracker itself."""

    points: Iterator[Point]
    params: Mapping[str, str]  # by the name the training code gave them
    status: str  # "running", "finished", "failed", "killed"
    started: int | None  # µs since 1970-01-01 UTC, as exactly as the tracker keeps it
    ended: int | None  # µs
    tags: Mapping[str, str] | None = None  # by the names they were given; None: not given back
    columns: Iterator[SeriesColumns] | None = None  # the same points, for who reads many: takes the place of `points`
    altered: Mapping[str, int] = {}  # what of this run the tracker shows otherwise, in words, and how often


class Capabilities(NamedTuple):
    """
    What a tracker keeps of what it is given: what the contract suite, and people, may expect to read back.

    A tracker states it as its attribute `capabilities`. One without it is taken to keep every point as it was.
    """

    keeps_times: bool = True  # of points, to the millisecond
    keeps_non_finite: bool = True  # NaN and ±Infinity
    keeps_float64: bool = True  # False: values come back as 32-bit floats
    keeps_equal_points: bool = True  # False: points equal in series, step, time and value are one
    needs_step_order: bool = False  # True: a point whose step is below one the series had is dropped
    keeps_params: bool = True  # by name
    keeps_status: bool = True  # and when the run started and ended
    keeps_artifacts: bool = False  # references to them
    can_delete: bool = False  # a deleted run goes from the tracker too
    can_edit_series: bool = False  # a deleted or renamed series is deleted or renamed in the tracker too
    can_edit_params: bool = False  # a deleted parameter goes from the tracker too
    can_edit_tags: bool = False  # a deleted tag goes from the tracker too; a new value always comes
    cut_params: Sequence[int] = ()  # texts of parameters are cut at one of these lengths, in characters; (): whole
    cut_tags: Sequence[int] = ()  # and texts of tags


class Tracker(Protocol):
    """
    A place events go to.

    The loop calls `open` once, then `deliver` from several threads: in the order of the log within a run, one call
    at a time for each run, each record at least once. What `deliver` returns (a small JSON object) is kept in the same
    row as the checkpoint, written after it returned. When the process dies in between, `deliver` is called again with
    the last kept state and the same envelopes, cut into calls elsewhere: fewer at first, or more after them. So a
    tracker must find its own traces or undo them: nothing may be missing, nothing may be there twice.

    Raise TrackerUnavailable to be called again later with the same envelopes (other runs go on), TrackerRefused to park
    this run with the reason (other runs go on). Anything else that is raised parks the run too.

    It may also have `capabilities`, see Capabilities, the method of CanStartOver, for `gateway verify --repair`, and
    `call_bytes`: how much of a run it is handed at once, in bytes of records, when 4 MiB would take it too long.
    """

    name: str
    cannot_hold: Sequence[str]  # what gets lost in this tracker, for people, one line each

    def open(self, settings: Settings) -> None:
        """Get ready. Raises BadSettings when an address it needs is missing. Must not wait for a server."""

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Bring these envelopes of one run, all new, to the tracker; return what to be called with next time."""

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Return what the tracker holds of a run. Raises TrackerUnavailable, TrackerRefused."""

    def close(self) -> None:
        """Let go of connections and files; no `deliver` is running."""


class CanStartOver(Tracker, Protocol):
    """A tracker in which a run can be repaired."""

    def start_over(self, run_id: str, state: State) -> State:
        """
        Make ready to be given the run from its first record again, and return the state of that call: {} as a rule.

        What the calls to come do not overwrite must go: a file that they write elsewhere, rows that they would add
        once more. May be called twice, and when part of the run is gone. Raises TrackerUnavailable, TrackerRefused.
        """


class NothingTracker:
    """The default: takes everything and keeps nothing."""

    name = NOTHING
    cannot_hold: Sequence[str] = ("everything",)

    def open(self, settings: Settings) -> None:
        """Do nothing."""

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Do nothing."""
        return state

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """Return an empty run."""
        return ReadBack(iter(()), {}, "running", None, None)

    def close(self) -> None:
        """Do nothing."""


def capabilities_of(tracker: Tracker) -> Capabilities:
    """Return what a tracker says it keeps. Raises BadSettings when it says it in another form."""
    stated = getattr(tracker, "capabilities", Capabilities())
    if not isinstance(stated, Capabilities):
        raise BadSettings(
            f"tracker {tracker.name!r}: its `capabilities` must be a Capabilities(...), not {stated!r:.80}"
        )
    return stated


def can_start_over(tracker: Tracker) -> TypeGuard[CanStartOver]:
    """Tell whether a run in this tracker can be written anew."""
    return callable(getattr(tracker, "start_over", None))
