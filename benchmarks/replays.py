"""
Replay a whole log into one tracker with the real command, and verify what is there with the real command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.environments import Missing
from benchmarks.filled_log import Log
from benchmarks.places import Place
from benchmarks.watched import COMMAND, Took, Watched

VERIFY_MOST_S = 7_200.0


class Replayed(NamedTuple):
    """What a replay took."""

    points: int
    records: int
    seconds: float  # of the process, from its start to its end
    cpu_s: float
    peak_mib: float
    server_cpu_s: float
    server_peak_mib: float
    store_cpu_s: float  # PostgreSQL's, for the checkpoints
    disk_bytes: int  # in the tracker's place
    parked: int

    @property
    def points_per_s(self) -> float:
        """Return points by seconds."""
        return self.points / self.seconds


class Verified(NamedTuple):
    """What `gateway verify` found."""

    is_equal: bool
    points: int  # in the tracker
    expected: int  # in PostgreSQL
    differences: list[str]
    not_held: list[Any]  # what the tracker cannot hold, as verify lists it
    cannot_hold: list[str]  # what it says of itself
    seconds: float
    cpu_s: float
    peak_mib: float


def variables_of(log: Log, place: Place, home: Path) -> dict[str, str]:
    """Return the settings of every command about one tracker."""
    return {**log.variables(home), **place.variables()}


def start_replay(log: Log, place: Place, folder: Path, options: Sequence[str] = (), **more: str) -> Watched:
    """Start `gateway replay --all`; `more` are settings."""
    argv = [*COMMAND, "replay", "--all", "--to", place.name, "--json", *options]
    return Watched(argv, variables_of(log, place, folder) | more, folder, f"replay-{place.name}")


def replay_to_the_end(log: Log, place: Place, folder: Path, tell: Callable[[str], None]) -> tuple[Took, dict[str, Any]]:
    """Return what a replay of everything took, and what it says. Raises Missing when it does not end well."""
    running = start_replay(log, place, folder)
    try:
        took = running.wait(tell)
    finally:
        running.kill()
    told = took.document()
    if took.status or not told.get("complete"):
        raise Missing(f"the replay ended with status {took.status}: {took.last_words()}")
    return took, told


def replay(log: Log, place: Place, folder: Path, tell: Callable[[str], None]) -> Replayed:
    """Replay everything. Raises Missing when it does not end well."""
    store, server = log.store.cpu_s(), place.server
    before = server.cpu_s() if server else 0.0
    took, told = replay_to_the_end(log, place, folder, tell)
    return Replayed(
        told["points"], told["records"], took.seconds, took.cpu_s, took.peak_mib,
        server.cpu_s() - before if server else 0.0, server.peak_mib() if server else 0.0,
        log.store.cpu_s() - store, place.bytes(), told["parked"],
    )  # fmt: skip


def verify(log: Log, place: Place, folder: Path, tell: Callable[[str], None]) -> Verified:
    """Read everything back. Raises Missing when verify cannot say."""
    variables = variables_of(log, place, folder)
    running = Watched([*COMMAND, "verify", "--to", place.name, "--json"], variables, folder, f"verify-{place.name}")
    try:
        took = running.wait(tell, VERIFY_MOST_S)
    finally:
        running.kill()
    told = took.document()
    if took.status not in (0, 1) or "places" not in told:
        raise Missing(f"verify ended with status {took.status}: {took.last_words()}")
    return _verified(took, told, place.name, _cannot_hold(variables, place, folder))


def _verified(took: Took, told: Mapping[str, Any], name: str, cannot_hold: list[str]) -> Verified:
    places = told["places"]
    differences = [str(one) for one in told["differences"]]
    listed = [told[key] for key in ("not_held", "cannot_hold", "limits") if told.get(key)]
    return Verified(
        took.status == 0 and not differences, places[name]["points"], places["postgresql"]["points"],
        differences, listed, cannot_hold, took.seconds, took.cpu_s, took.peak_mib,
    )  # fmt: skip


def _cannot_hold(variables: Mapping[str, str], place: Place, folder: Path) -> list[str]:
    argv = [*COMMAND, "replay", "--all", "--to", place.name, "--dry-run", "--json"]
    running = Watched(argv, variables, folder, f"plan-{place.name}")
    try:
        return list(running.wait(lambda _: None, 600.0).document().get("cannot_hold", []))
    finally:
        running.kill()
