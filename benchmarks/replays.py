"""
Replay a whole log into one tracker and verify it, both with the real commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.environments import Missing
from benchmarks.filled_log import Log
from benchmarks.targets import Target
from benchmarks.watched import COMMAND, Ended, Watched

VERIFY_MOST_S = 7_200.0


class Replayed(NamedTuple):
    """Cost of a replay."""

    points: int
    records: int
    seconds: float  # of the process, from its start to its end
    cpu_s: float
    peak_mib: float
    server_cpu_s: float
    server_peak_mib: float
    store_cpu_s: float  # PostgreSQL's, for the checkpoints
    disk_bytes: int  # of the tracker's target
    parked: int

    @property
    def points_per_s(self) -> float:
        """Points per second."""
        return self.points / self.seconds


class Verified(NamedTuple):
    """Result of `gateway verify`."""

    is_equal: bool
    points: int  # in the tracker
    expected: int  # in PostgreSQL
    differences: list[str]
    not_held: list[Any]  # what the tracker did not keep, as verify lists it
    cannot_hold: list[str]  # limits that the tracker declares
    seconds: float
    cpu_s: float
    peak_mib: float


def variables_of(log: Log, target: Target, home: Path) -> dict[str, str]:
    """Return the settings of every command about one tracker."""
    return {**log.variables(home), **target.variables()}


def start_replay(log: Log, target: Target, folder: Path, options: Sequence[str] = (), **more: str) -> Watched:
    """Start `gateway replay --all`; `more` are additional settings."""
    argv = [*COMMAND, "replay", "--all", "--to", target.name, "--json", *options]
    return Watched(argv, variables_of(log, target, folder) | more, folder, f"replay-{target.name}")


def replay_to_the_end(
    log: Log, target: Target, folder: Path, report: Callable[[str], None]
) -> tuple[Ended, dict[str, Any]]:
    """Replay everything; return its process and its JSON answer. Raises Missing when it fails."""
    running = start_replay(log, target, folder)
    try:
        ended = running.wait(report)
    finally:
        running.kill()
    answer = ended.document()
    if ended.status or not answer.get("complete"):
        raise Missing(f"the replay ended with status {ended.status}: {ended.last_words()}")
    return ended, answer


def replay(log: Log, target: Target, folder: Path, report: Callable[[str], None]) -> Replayed:
    """Replay everything and return the cost. Raises Missing when it fails."""
    store, server = log.store.cpu_s(), target.server
    before = target.cpu_s()
    ended, answer = replay_to_the_end(log, target, folder, report)
    return Replayed(
        answer["points"], answer["records"], ended.seconds, ended.cpu_s, ended.peak_mib,
        target.cpu_s() - before, server.peak_mib() if server else 0.0,
        log.store.cpu_s() - store, target.bytes(), answer["parked"],
    )  # fmt: skip


def verify(log: Log, target: Target, folder: Path, report: Callable[[str], None]) -> Verified:
    """Read everything back. Raises Missing when verify gives no result."""
    variables = variables_of(log, target, folder)
    running = Watched([*COMMAND, "verify", "--to", target.name, "--json"], variables, folder, f"verify-{target.name}")
    try:
        ended = running.wait(report, VERIFY_MOST_S)
    finally:
        running.kill()
    answer = ended.document()
    if ended.status not in (0, 1, 3) or "places" not in answer:
        raise Missing(f"verify ended with status {ended.status}: {ended.last_words()}")
    return _verified(ended, answer, target.name, _cannot_hold(variables, target, folder))


def _verified(ended: Ended, answer: Mapping[str, Any], name: str, cannot_hold: list[str]) -> Verified:
    sides = answer["places"]  # the tracker and PostgreSQL
    differences = [str(one) for one in answer["differences"]]
    listed = [answer[key] for key in ("not_held", "cannot_hold", "limits") if answer.get(key)]
    return Verified(
        ended.status == 0 and not differences, sides[name]["points"], sides["postgresql"]["points"],
        differences, listed, cannot_hold, ended.seconds, ended.cpu_s, ended.peak_mib,
    )  # fmt: skip


def _cannot_hold(variables: Mapping[str, str], target: Target, folder: Path) -> list[str]:
    argv = [*COMMAND, "replay", "--all", "--to", target.name, "--dry-run", "--json"]
    running = Watched(argv, variables, folder, f"plan-{target.name}")
    try:
        return list(running.wait(lambda _: None, 600.0).document().get("cannot_hold", []))
    finally:
        running.kill()
