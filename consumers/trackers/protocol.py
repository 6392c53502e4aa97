"""
The plug-in contract: how the delivery loop uses a tracker.

A tracker is a class that is registered under its type in the entry-point group `gateway.trackers`; MLflow and W&B are
registered there like any plug-in. It is loaded only if it is configured, and constructed without arguments or with the
keywords that the trackers file (consumers/delivery/plugins/config.py) has for it. `consumers.trackers.testing` is the
suite that a tracker must pass; docs/trackers.md shows how to write one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

from schemas.errors import BadSettings
from schemas.facts import Point, SeriesColumns
from schemas.runtime.settings import Settings
from schemas.wire import Envelope

NOTHING = "nothing"

State = Mapping[str, Any]


class Observed(NamedTuple):
    """One value that is not a number, as a tracker holds it."""

    series: str  # written name
    step: int
    time: int | None  # µs; None: the tracker keeps none, and perhaps only some of the values of one step
    text: str | None  # as JSON or plain text, a histogram as {"counts": [...], "edges": [...]}; None: not returned


class Line(NamedTuple):
    """One console line, as a tracker holds it."""

    stream: str
    time: int  # µs
    text: str


class Contents(NamedTuple):
    """
    What a tracker holds of a run besides points, parameters and tags.

    None: the tracker does not return it, and `gateway verify` lists it as not compared.
    """

    name: str | None = None
    tag: str | None = None  # of the run, which groups runs into an experiment
    misplaced: str = ""  # the experiment or project that shows the run, if that is not the one of its tag
    where: str = ""  # where a person finds the run
    note: str | None = None
    labels: Mapping[str, str] | None = None
    artifacts: Mapping[str, str] | None = None  # references by name, as JSON with at least uri, size and sha256
    observations: Iterable[Observed] | None = None
    unheld: int = 0  # observations that the tracker could not store, and counted
    lines: Iterable[Line] | None = None
    lifecycle_stage: str | None = None  # active, or deleted: in the tracker's trash


class ReadBack(NamedTuple):
    """What a tracker holds of one run, read from the tracker itself."""

    points: Iterator[Point]
    params: Mapping[str, str]  # by their original names
    status: str  # "running", "finished", "failed", "killed"
    started: int | None  # µs since 1970-01-01 UTC, as exact as the tracker keeps it
    ended: int | None  # µs
    tags: Mapping[str, str] | None = None  # by their original names; None: the tracker does not return tags
    columns: Iterator[SeriesColumns] | None = None  # the same points in a faster form; read instead of `points`
    altered: Mapping[str, int] = {}  # what the tracker shows differently in this run, in words, and how often
    contents: Contents = Contents()


class Capabilities(NamedTuple):
    """
    What a tracker keeps: what the contract suite, and people, can expect to read back.

    A tracker declares it as its attribute `capabilities`. A tracker without the attribute is expected to keep every
    point unchanged.
    """

    keeps_times: bool = True  # of points, to the millisecond
    keeps_non_finite: bool = True  # NaN and ±Infinity
    keeps_float64: bool = True  # False: values come back as 32-bit floats
    keeps_equal_points: bool = True  # False: points equal in series, step, time and value are one
    keeps_infinity: bool = True  # False: ±Infinity comes back as ±1.797e308, the largest number
    needs_step_order: bool = False  # True: a point is dropped if its step is lower than an earlier one of its series
    keeps_params: bool = True  # by name
    keeps_status: bool = True  # and when the run started and ended
    keeps_artifacts: bool = False  # references to them
    can_delete: bool = False  # a deleted run is deleted in the tracker too
    can_edit_series: bool = False  # a deleted or renamed series is deleted or renamed in the tracker too
    can_edit_params: bool = False  # a deleted parameter is deleted in the tracker too
    can_edit_tags: bool = False  # a deleted tag is deleted in the tracker too; a new value always arrives
    cut_params: Sequence[int] = ()  # texts of parameters are cut at one of these lengths, in characters; (): whole
    cut_tags: Sequence[int] = ()  # the same for texts of tags
    keeps_param_attempts: bool = False  # it gets all values of parameters, and its read-back picks those that count
    cut_names: Sequence[int] = ()  # as `cut_tags`, for the name of the run


class Tracker(Protocol):
    """
    A destination of events.

    1. The loop calls `open` once.
    2. It calls `deliver` from several threads: in log order within a run, one call at a time for each run, each event
       at least once. `deliver` returns a state (a small JSON object), which is stored in the same row as the
       checkpoint, after `deliver` has returned.
    3. If the process dies in between, `deliver` is called again with the last stored state and the same events, cut
       into calls differently: fewer events in the first call, or more. A tracker must therefore recognise its own
       traces or undo them: no event may be missing, and none may take effect twice.
    4. It calls `close` once no `deliver` is running.

    Raise TrackerUnavailable to be called again later with the same events; raise TrackerRefused to park this run with
    the reason. Any other exception parks the run too. Other runs continue in each case.

    Optional parts: `capabilities` (see Capabilities), the method of CanStartOver for `gateway verify --repair`, a
    parameter `in_doubt` of `deliver` (how many of the first events an earlier call may have written already), and
    `call_bytes`: how many bytes of records one call may carry, if 4 MiB would take the tracker too long.
    """

    name: str
    cannot_hold: Sequence[str]  # what this tracker loses, for people, one line each

    def open(self, settings: Settings) -> None:
        """Check the configuration. Raises BadSettings if an address is missing. Must not wait for a server."""

    def deliver(self, run_id: str, envelopes: Sequence[Envelope], state: State) -> State:
        """Write these new events of one run to the tracker; return the state for the next call."""

    def read_back(self, run_id: str, state: State) -> ReadBack:
        """
        Return what a person sees of a run in the tracker. Raises TrackerUnavailable, TrackerRefused.

        Raise TrackerRefused if the run is not there, or only in a trash. A run that was deleted must be looked for
        as well: a restored backup may show it again.
        """

    def close(self) -> None:
        """Close connections and files; no `deliver` is running."""


class CanStartOver(Tracker, Protocol):
    """A tracker in which a run can be repaired."""

    def start_over(self, run_id: str, state: State) -> State:
        """
        Prepare for a delivery of the run from its first record; return the state for that call, usually {}.

        Remove what the following calls will not overwrite: a file that they write under another name, rows that they
        would add again. May be called twice, and if part of the run is gone. Raises TrackerUnavailable,
        TrackerRefused.
        """


class CanReplace(CanStartOver, Protocol):
    """A tracker that keeps some things for good, and can make a run again that has others."""

    def replace(self, run_id: str, state: State) -> State:
        """
        Take the run out of sight, so that a delivery from its first record makes another one; return {}.

        Called by `gateway verify --repair` for a run that differs although it was delivered again. May be called
        twice. Raises TrackerUnavailable, TrackerRefused.
        """


class NothingTracker:
    """The default: accepts everything and keeps nothing."""

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
    """Return the declared capabilities of a tracker. Raises BadSettings if they are not a Capabilities."""
    declared = getattr(tracker, "capabilities", Capabilities())
    if not isinstance(declared, Capabilities):
        raise BadSettings(
            f"tracker {tracker.name!r}: its `capabilities` must be a Capabilities(...), not {declared!r:.80}"
        )
    return declared


def can_start_over(tracker: Tracker) -> TypeGuard[CanStartOver]:
    """Return True if this tracker can rewrite a run from its first record."""
    return callable(getattr(tracker, "start_over", None))


def can_replace(tracker: Tracker) -> TypeGuard[CanReplace]:
    """Return True if this tracker can make a run again that it cannot mend."""
    return can_start_over(tracker) and callable(getattr(tracker, "replace", None))
