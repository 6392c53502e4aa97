"""
Kill a replay at random moments, spoil what it talks to, start it again, and count all of it.

A part of the kills comes at a moment of the start, the others at a place of the log: each process lives as long as it
needs to get there. Between them MLflow's server is killed and started again, and requests to it fail, time out after
they took effect, or are put off.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

from benchmarks.environments import Missing
from benchmarks.filled_log import MATERIALISER, Log, position
from benchmarks.places import MlflowServer, Place
from benchmarks.replays import start_replay
from benchmarks.spoiled_http import FAULTS, SpoiledHttp, spoiled_http
from benchmarks.watched import Watched

EARLY_SHARE, EARLY_S = 0.2, 3.0  # of the kills come within so many seconds of a start
LAST_PLACE = 0.97  # of the log: later, the replay might end first
LOOK_S = 0.05
REQUEST_TIMEOUT_S = 2  # instead of a minute, that timeouts do not take all day
STALLED_S = 300.0
PAUSE_S = (0.2, 2.0)  # between two faults, at least and at most
SERVER_START_S = 3.0
SERVER_KILLED = "MLflow server killed"


def killed_replay(
    log: Log, place: Place, folder: Path, kills: int, seed: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Bring everything to a tracker in spite of so many kills; return the counts. Raises Missing."""
    dice, began, faults = Random(seed), monotonic(), dict[str, int]()
    with ExitStack() as stack:
        variables: dict[str, str] = {}
        spoiler = None
        if place.server is not None:
            line = stack.enter_context(spoiled_http(place.server.port))
            variables = {"GATEWAY_MLFLOW_URL": line.url, "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST_TIMEOUT_S)}
            spoiler = Spoiler(place.server, line, Random(seed + 1))
        starts = _kill(log, place, folder, _plan(kills, dice), variables, spoiler, tell)
        if spoiler is not None:
            faults = spoiler.heal()
    tell(f"{faults}; all is well now: one more start, to the end")
    last = _to_the_end(log, place, folder, tell)
    again = _to_the_end(log, place, folder, tell)
    if again["records"]:
        raise Missing(f"run once more, the replay brought {again['records']} records again")
    return {
        "kills": kills, "starts": starts + 2, "faults": faults, "seconds": monotonic() - began,
        "parked": last["parked"],
    }  # fmt: skip


def _plan(kills: int, dice: Random) -> list[tuple[float, float]]:
    """Return for each kill a place of the log, as a share of it, and the seconds after a start; one of them is 0."""
    early = round(kills * EARLY_SHARE)
    places = sorted(dice.uniform(0.0, LAST_PLACE) for _ in range(kills - early))
    plan = [(place, 0.0) for place in places]
    for _ in range(early):
        plan.insert(dice.randint(0, len(plan)), (0.0, dice.uniform(0.0, EARLY_S)))
    return plan


def _kill(
    log: Log, place: Place, folder: Path, plan: list[tuple[float, float]], more: dict[str, str],
    spoiler: Spoiler | None, tell: Callable[[str], None],
) -> int:  # fmt: skip
    whole, consumer = position(log.store.address, MATERIALISER), f"delivery/{place.name}"
    for number, (share, seconds) in enumerate(plan, 1):
        running = start_replay(log, place, folder, **more)
        try:
            done = _until(log, consumer, running, spoiler, goal=int(share * whole), seconds=seconds)
        finally:
            running.kill()
        tell(f"kill {number} of {len(plan)}, {done:,} of {whole:,} records were delivered")
    return len(plan)


def _until(log: Log, consumer: str, running: Watched, spoiler: Spoiler | None, *, goal: int, seconds: float) -> int:
    """Return once a replay has come as far as `goal`, or has lived so long."""
    began = moved = monotonic()
    last = -1
    while True:
        done = position(log.store.address, consumer)
        now = monotonic()
        if done > last:
            last, moved = done, now
        if running.is_over():
            raise Missing(f"the replay ended before it was killed: {running.last_words()}")
        if (seconds and now - began >= seconds) or (not seconds and done >= goal):
            return done
        if now - moved > STALLED_S:
            raise Missing(f"the replay stands at {done:,} records: {running.last_words()}")
        if spoiler is not None:
            spoiler.look()
        sleep(LOOK_S)


def _to_the_end(log: Log, place: Place, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    running = start_replay(log, place, folder)
    try:
        took = running.wait(tell)
    finally:
        running.kill()
    told = took.document()
    if took.status or not told.get("complete"):
        raise Missing(f"the last replay ended with status {took.status}: {took.last_words()}")
    return told


class Spoiler:
    """Spoils MLflow's server and the line to it, now and then; `look` is called all the time by the one who waits."""

    def __init__(self, server: MlflowServer, line: SpoiledHttp, dice: Random) -> None:
        self._server, self._line, self._dice = server, line, dice
        self._next_at = monotonic() + dice.uniform(*PAUSE_S)
        self._up_at: float | None = None  # while it is dead
        self._killed = 0

    def look(self) -> None:
        """Do what it is time for."""
        now = monotonic()
        if self._up_at is not None:
            if now >= self._up_at:
                self._server.launch()
                self._up_at, self._next_at = None, now + SERVER_START_S + self._dice.uniform(*PAUSE_S)
        elif now >= self._next_at:
            self._next_at = now + self._dice.uniform(*PAUSE_S)
            fault = self._dice.choice((*FAULTS, SERVER_KILLED))
            if fault == SERVER_KILLED:
                self._server.kill()
                self._killed += 1
                self._up_at = now + self._dice.uniform(0.0, 2.0)
            else:
                self._line.spoil(fault, self._dice.randint(1, 3))

    def heal(self) -> dict[str, int]:
        """Have everything well again; return how often each fault happened."""
        self._line.heal()
        if self._up_at is not None:
            self._server.launch()
        self._server.wait()
        return {**self._line.spoiled, SERVER_KILLED: self._killed}
